// A server with sleepers, as the tests of logic/wakes.hpp have it.
#pragma once

#include <memory>
#include <vector>

#include "logic/wakes.hpp"

namespace wakes_test {

using namespace logic::wakes;

struct Signals {
    std::vector<const Sleeper *> *sent;
    void operator()(const Sleeper &sleeper) const { sent->push_back(&sleeper); }
};

// A server: sleepers of all databases in one array, a room for each database.
class Server {
public:
    Server(int rooms, int places)
        : rooms_(static_cast<std::size_t>(rooms)),
          sleepers_(std::make_unique<Sleeper[]>(static_cast<std::size_t>(places)))
    {
    }

    Wakes<Signals> room(int number = 0)
    {
        return {rooms_[static_cast<std::size_t>(number)], sleepers_.get(), Signals{&signals}};
    }

    Sleeper &sleeper(Number who) { return sleepers_[static_cast<std::size_t>(who)]; }

    void enter(Number who, int room_number = 0, Purpose purpose = Purpose::claim, std::uint64_t worker = 0)
    {
        sleeper(who).purpose = purpose;
        sleeper(who).worker = worker;
        sleeper(who).ticket = ++tickets_;
        room(room_number).enter(who);
    }

    void sleep(Number who, const Wish &wish, int room_number = 0)
    {
        enter(who, room_number);
        room(room_number).arm_place(who, wish);
        room(room_number).falls_asleep(who);
    }

    std::vector<const Sleeper *> signals;

private:
    std::vector<Room> rooms_;
    std::unique_ptr<Sleeper[]> sleepers_;
    std::uint64_t tickets_ = 0;
};

} // namespace wakes_test
