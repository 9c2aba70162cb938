"""What a measurement must say of the machine it was made on."""

import datetime
import os
import shutil
import subprocess

_FIELDS = ("name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.draw",
           "power.limit", "temperature.gpu")


def _output(command, directory=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=directory, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def query(gpu):
    """Clocks, power and temperature of one GPU (index or UUID) as nvidia-smi tells them; {} without it."""
    if not shutil.which("nvidia-smi"):
        return {}
    command = ["nvidia-smi", "-i", str(gpu), "--format=csv,noheader,nounits"]
    line = _output(command + ["--query-gpu=" + ",".join(_FIELDS)])
    state = dict(zip(_FIELDS, (part.strip() for part in line.split(",")))) if line else {}
    for name in ("clocks_event_reasons.active", "clocks_throttle_reasons.active"):  # renamed in driver 535
        reasons = _output(command + ["--query-gpu=" + name])
        if reasons:
            state["clocks_event_reasons.active"] = reasons
            break
    return state


def revision(directory):
    """The git revision of the sources, with "+changes" if any; FLASHMASK_REVISION where there is no checkout."""
    head = _output(["git", "rev-parse", "HEAD"], directory)
    if not head:
        return os.environ.get("FLASHMASK_REVISION", "unknown")
    return head + ("+changes" if _output(["git", "status", "--porcelain", "-uno"], directory) else "")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
