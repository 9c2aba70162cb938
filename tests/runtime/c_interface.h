#pragma once

#ifdef __cplusplus
extern "C" {
#endif

int c_versions_and_names(void);
int c_bad_input_is_a_status_and_a_text(const char* cache_directory);
/* `needs_workspace`: whether the forward's kernel for this target does. */
int c_forward_on_the_emulator(const char* cache_directory, const char* target, int needs_workspace);
int c_backward_arguments_are_checked(const char* cache_directory);
int c_backward_on_the_emulator(const char* cache_directory);
int c_masks_written_on_the_emulator(const char* cache_directory);

#ifdef __cplusplus
}
#endif
