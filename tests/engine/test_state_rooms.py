from minikin.engine.state_rooms import StateRooms


def test_the_least_recently_used_snapshot_makes_room():
    rooms = StateRooms(4)
    taken = [rooms.take() for _ in range(3)]
    assert sorted(taken) == [1, 2, 3]
    for node, room in enumerate(taken):
        assert rooms.keep(room, (node, True))
    rooms.release(taken)
    assert rooms.find((0, True)) == taken[0]
    assert rooms.take() == taken[1]
    assert rooms.find((1, True)) is None
    assert rooms.find((2, True)) == taken[2]


def test_a_room_in_use_stays():
    rooms = StateRooms(3)
    first, second = rooms.take(), rooms.take()
    rooms.keep(first, (7, True))
    assert rooms.take() is None
    rooms.release([second])
    rooms.hold(first)
    assert rooms.take() == second
    rooms.release([first])
    assert rooms.take() is None, "the snapshot has another user"
    rooms.release([first])
    assert rooms.take() == first


def test_there_is_one_snapshot_of_a_node():
    rooms = StateRooms(3)
    first, second = rooms.take(), rooms.take()
    assert rooms.keep(first, (7, True))
    assert not rooms.keep(second, (7, True))
    assert rooms.keep(second, (7, False))
    rooms.forget((7, True))
    assert rooms.find((7, True)) is None
    assert rooms.users() == {first: 1, second: 1}
