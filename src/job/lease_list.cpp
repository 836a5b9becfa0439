#include "job/lease_list.hpp"

#include "pg/excerpt.hpp"
#include "pg/sqlstate.hpp"

namespace job {

bool is_of_element(const ErrorData *error)
{
    return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION || error->sqlerrcode == sqlstate::too_large;
}

pg::Nullable id_of_element(const JsonbValue &element)
{
    const std::optional<JsonbValue> id =
        pg::is_object(element) ? pg::find_member(element.val.binary.data, "id") : std::nullopt;
    if (!id)
        return {};
    pg::Nullable result;
    ErrorData *error = pg::in_subtransaction([&] { result = pg::sql_value(*id, UUIDOID, "id"); },
                                             [](const ErrorData *raised) { return !is_of_element(raised); });
    if (error == nullptr)
        return result;
    FreeErrorData(error);
    return {};
}

void Notices::tell(const char *message)
{
    constexpr int most = 10;
    if (++told_ <= most)
        ereport(NOTICE, (errmsg("%s", pg::message_excerpt(message))));
    else if (told_ == most + 1)
        ereport(NOTICE, (errmsg("more elements were refused than are told of here")));
}

} // namespace job
