#pragma once

#include <sqlite3.h>

#include <cstddef>

namespace flashmask::testing {

/// The file system as SQLite sees it, in which one call fails: the one that `countdown` reaches, and all later ones if
/// `is_lasting`. It is SQLite's own for as long as the object lives.
class FaultyVfs {
 public:
  explicit FaultyVfs(int code_of_writes) : code_(code_of_writes), real_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *real_;
    vfs_.zName = "faulty";
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = [](sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
      auto* own = reinterpret_cast<File*>(file);
      own->base.pMethods = nullptr;
      own->vfs = of(vfs);
      if (const int code = own->vfs->fails(flags & SQLITE_OPEN_CREATE ? SQLITE_CANTOPEN : 0)) return code;
      const int opened = own->vfs->real_->xOpen(own->vfs->real_, name, own->real(), flags, out);
      if (own->real()->pMethods) own->base.pMethods = methods();
      return opened;
    };
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync) {
      if (const int code = of(vfs)->fails(SQLITE_IOERR_DELETE)) return code;
      return of(vfs)->real_->xDelete(of(vfs)->real_, name, sync);
    };
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  int countdown = 0;  ///< 1: the next call fails; 0: none does
  bool is_lasting = false;
  int calls = 0;  ///< that could have failed

 private:
  struct File {
    sqlite3_file base;
    FaultyVfs* vfs;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static FaultyVfs* of(sqlite3_vfs* vfs) { return static_cast<FaultyVfs*>(vfs->pAppData); }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

  int fails(int code) {
    if (code == 0) return 0;
    ++calls;
    if (countdown == 0 || (countdown > 1 && --countdown > 0)) return 0;
    if (!is_lasting) countdown = 0;
    return code;
  }
  static int fails(sqlite3_file* file, int code) { return reinterpret_cast<File*>(file)->vfs->fails(code); }

  /// Those of a file; every one that changes it may fail.
  static const sqlite3_io_methods* methods() {
    static sqlite3_io_methods methods = [] {
      sqlite3_io_methods m{};
      m.iVersion = 1;
      m.xClose = [](sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); };
      m.xRead = [](sqlite3_file* file, void* into, int size, sqlite3_int64 at) {
        return real(file)->pMethods->xRead(real(file), into, size, at);
      };
      m.xWrite = [](sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
        if (const int code = fails(file, reinterpret_cast<File*>(file)->vfs->code_)) {
          // As a full disk does it: half of the bytes arrive.
          real(file)->pMethods->xWrite(real(file), from, size / 2, at);
          return code;
        }
        return real(file)->pMethods->xWrite(real(file), from, size, at);
      };
      m.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
        if (const int code = fails(file, SQLITE_IOERR_TRUNCATE)) return code;
        return real(file)->pMethods->xTruncate(real(file), size);
      };
      m.xSync = [](sqlite3_file* file, int flags) {
        if (const int code = fails(file, SQLITE_IOERR_FSYNC)) return code;
        return real(file)->pMethods->xSync(real(file), flags);
      };
      m.xFileSize = [](sqlite3_file* file, sqlite3_int64* size) {
        return real(file)->pMethods->xFileSize(real(file), size);
      };
      m.xLock = [](sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); };
      m.xUnlock = [](sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); };
      m.xCheckReservedLock = [](sqlite3_file* file, int* is_held) {
        return real(file)->pMethods->xCheckReservedLock(real(file), is_held);
      };
      m.xFileControl = [](sqlite3_file* file, int operation, void* argument) {
        return real(file)->pMethods->xFileControl(real(file), operation, argument);
      };
      m.xSectorSize = [](sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); };
      m.xDeviceCharacteristics = [](sqlite3_file* file) {
        return real(file)->pMethods->xDeviceCharacteristics(real(file));
      };
      return m;
    }();
    return &methods;
  }

  int code_;  ///< of a write that fails
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_{};
};

}  // namespace flashmask::testing
