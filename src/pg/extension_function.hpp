// Functions of extensions that C code calls, ours and those of others.
//
// A call by name and types of arguments is anybody's who may create in the schema: an overload that fits better takes
// it, and after DROP EXTENSION the very same signature does. So they are found by their exact signature, proved to be
// the extension's, and called by oid.
#pragma once

#include "prelude.hpp"

namespace pg {

struct Signature {
    const char *extension;
    const char *schema;
    const char *name;
    std::span<const Oid> arguments;
};

// The function with just these arguments that is a member of the extension and a superuser's: who owns an extension may
// add functions to it, but not those of a superuser. InvalidOid: there is none.
Oid find_extension_function(const Signature &signature);

// The same. 42883 where there is none.
Oid extension_function(const Signature &signature);

// 42501 unless the caller may execute it: OidFunctionCall… does not ask.
void require_execute(Oid function);

} // namespace pg
