#include "pg/excerpt.hpp"

#include <algorithm>

namespace pg {

const char *excerpt(std::string_view text, int characters)
{
    // As many bytes as so many characters can have, and one character more, which tells that the text goes on.
    const std::size_t enough = static_cast<std::size_t>(characters + 1) * MAX_MULTIBYTE_CHAR_LEN;
    const int kept = pg_mbcharcliplen(text.data(), static_cast<int>(std::min(text.size(), enough)), characters);
    const char *mark = static_cast<std::size_t>(kept) < text.size() ? "..." : "";
    return psprintf("%.*s%s", kept, text.data(), mark);
}

const char *text_excerpt(Datum text)
{
    constexpr int enough = (excerpt_characters + 1) * MAX_MULTIBYTE_CHAR_LEN;
    const varlena *beginning = PG_DETOAST_DATUM_SLICE(text, 0, enough);
    return excerpt({VARDATA_ANY(beginning), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(beginning))});
}

const char *json_excerpt(Datum json)
{
    constexpr Size printable = Size{64} * 1024;
    Jsonb *value = DatumGetJsonbP(json);
    if (VARSIZE(value) > printable)
        return psprintf("(%zu bytes of JSON)", static_cast<std::size_t>(VARSIZE(value)));
    return excerpt(JsonbToCString(nullptr, &value->root, static_cast<int>(VARSIZE(value))));
}

const char *message_excerpt(const char *message)
{
    return message == nullptr ? nullptr : excerpt(message, message_excerpt_characters);
}

} // namespace pg
