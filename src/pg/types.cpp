#include "pg/types.hpp"

namespace pg {

const char *mismatch(TupleDesc actual, RowType wanted)
{
    if (actual->natts != static_cast<int>(wanted.size()))
        return psprintf("It has %d columns, not %d.", actual->natts, static_cast<int>(wanted.size()));
    for (int number = 1; number <= actual->natts; ++number) {
        Form_pg_attribute column = attribute(actual, number);
        if (column->attisdropped)
            return psprintf("Its column %d was dropped.", number);
        if (!stands_for(column->atttypid, wanted[number - 1]))
            return psprintf("Its column \"%s\" has the type %s, not %s.", NameStr(column->attname),
                            format_type_be(column->atttypid), format_type_be(wanted[number - 1]));
    }
    return nullptr;
}

} // namespace pg
