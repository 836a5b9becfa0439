// The other end of this session's connection, watched while a call of ours sleeps.
//
// Postgres looks at the socket of a client between statements, and inside of one only as often as
// client_connection_check_interval says: by default never. A call that sleeps for a minute would go on for a client
// that was killed, and take for it what it waits for. So a wait of ours ends with the connection, whatever that setting
// says, where the platform reports a socket that the other end has closed (Linux, macOS, the BSDs and illumos do).
//
// What nobody can know: whether a client behind a gateway or a pooler, which keeps the connection, is still there; and
// whether one that is cut off without a word (a cable, a virtual machine) will be back, before TCP's keepalives say so.
#pragma once

#include "prelude.hpp"

namespace pg {

// Sleeps until the latch of this process is set, or so many milliseconds are over; resets the latch. Raises what
// interrupts it (57014 for a cancel), and FATAL 08006 when the client has closed its connection. Ends the process when
// the postmaster is gone. The caller looks at what it waits for after each return, because the latch is reset and tells
// nothing of the reason.
void wait_on_latch(long milliseconds, std::uint32_t wait_event);

// Raises FATAL 08006 when the client has closed its connection, as Postgres itself reports it. To be called before a
// sleeper takes what it was woken for. A client may still be lost right after: its lease then runs out.
void require_client();

} // namespace pg
