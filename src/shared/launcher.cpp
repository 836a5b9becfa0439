#include "shared/launcher.hpp"

#include "shared/process.hpp"
#include "shared/segment.hpp"

namespace shared::launcher {

namespace {

struct Area {
    pg_atomic_uint32 process; // no_process while there is no launcher
    pg_atomic_uint32 databases_changed;
    pg_atomic_uint32 waiting;
};

constinit Segment<Area> area({.name = "JobsLauncher",
                              .locks = 0,
                              .size = [] { return sizeof(Area); },
                              .initialise =
                                  [](void *memory) {
                                      auto &launcher = *static_cast<Area *>(memory);
                                      pg_atomic_init_u32(&launcher.process, no_process);
                                      pg_atomic_init_u32(&launcher.databases_changed, 0);
                                      pg_atomic_init_u32(&launcher.waiting, 0);
                                  }});

} // namespace

void request_launcher() { area.request(); }

void begin() { pg_atomic_write_u32(&area->process, pg::my_process_number()); }

void launcher_ends()
{
    pg_atomic_write_u32(&area->process, no_process);
    pg_atomic_write_u32(&area->waiting, 0); // nobody would start another worker for one that leaves
}

void wake_launcher() { wake_process(pg_atomic_read_u32(&area->process)); }

void note_databases_changed()
{
    if (!area)
        return;
    pg_atomic_write_u32(&area->databases_changed, 1);
    wake_launcher();
}

bool take_databases_changed() { return pg_atomic_exchange_u32(&area->databases_changed, 0) != 0; }

void say_waiting(int databases) { pg_atomic_write_u32(&area->waiting, static_cast<uint32>(databases)); }

bool others_wait() { return pg_atomic_read_u32(&area->waiting) != 0; }

} // namespace shared::launcher
