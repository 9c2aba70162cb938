// {fmt} 9 as one object. Its header-only form compiles its number formatting again in every file that formats a
// string, at three seconds each; Debian has no static libfmt, and libflashmask is to need no shared one.
#include <fmt/format-inl.h>

namespace fmt {
inline namespace v9 {
namespace detail {

// What the headers declare and format-inl.h defines as templates, for the types that they use.
template locale_ref::locale_ref(const std::locale&);
template std::locale locale_ref::get<std::locale>() const;
template thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template char decimal_point_impl<char>(locale_ref);
template dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;

}  // namespace detail
}  // namespace v9
}  // namespace fmt
