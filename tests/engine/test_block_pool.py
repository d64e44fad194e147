import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minikin.engine.block_pool import BlockPool, CacheFault
from minikin.engine.model.block import BLOCK

PROMPTS = [
    [a] * BLOCK + [b] * BLOCK + [c] * BLOCK + [9] for a in (1, 2) for b in (1, 2) for c in (1, 2)
]


def remember(pool, tokens, blocks):
    node = 0
    for i, block in enumerate(blocks):
        node = pool.remember(node, tokens[i * BLOCK : (i + 1) * BLOCK], block)


def test_a_prefix_is_found_as_far_as_it_is_equal():
    pool = BlockPool(10)
    first = pool.allocate(3)
    remember(pool, PROMPTS[0], first)
    assert pool.match(PROMPTS[0])[0] == first
    assert pool.match(PROMPTS[1])[0] == first[:2]
    assert pool.match(PROMPTS[7])[0] == []


def test_a_match_leaves_one_token_to_compute():
    pool = BlockPool(10)
    blocks = pool.allocate(2)
    tokens = [1] * (2 * BLOCK)
    remember(pool, tokens, blocks)
    assert pool.match(tokens)[0] == blocks[:1]
    assert pool.match([*tokens, 1])[0] == blocks


def test_each_scope_knows_its_own_prefixes_only():
    pool = BlockPool(10)
    first = pool.allocate(3)
    remember(pool, PROMPTS[0], first)
    found, node, _ = pool.match(PROMPTS[0], "other key")
    assert found == []
    own = pool.allocate(1)
    pool.remember(node, PROMPTS[0][:BLOCK], own[0])
    assert pool.match(PROMPTS[0], "other key")[0] == own
    assert pool.match(PROMPTS[0])[0] == first
    pool.check_integrity([*first, *own, *own, *first])


def test_only_pure_blocks_are_found_where_an_answer_must_repeat():
    pool = BlockPool(10)
    blocks = pool.allocate(3)
    tokens = PROMPTS[0]
    node = pool.remember(0, tokens[:BLOCK], blocks[0])
    pool.remember(node, tokens[BLOCK : 2 * BLOCK], blocks[1], pure=False)
    assert pool.match(tokens)[::2] == (blocks[:2], False)
    assert pool.match(tokens, only_pure=True)[::2] == (blocks[:1], True)


def test_a_pure_block_takes_the_place_of_another():
    pool = BlockPool(10)
    impure, pure = pool.allocate(1), pool.allocate(1)
    tokens = PROMPTS[0][:BLOCK]
    node = pool.remember(0, tokens, impure[0], pure=False)
    pool.release(impure)
    assert pool.remember(0, tokens, pure[0]) == node
    assert pool.match([*tokens, 1], only_pure=True)[:2] == (pure, node)
    assert pool.remember(0, tokens, impure[0], pure=False) == node
    assert pool.match([*tokens, 1])[0] == pure
    pool.check_integrity([*pure, *pure, *pure])
    assert pool.allocate(1) == impure  # nothing is lost with it, so it goes first


def test_the_least_recently_used_prefix_is_forgotten_first():
    pool = BlockPool(6)
    old, new = pool.allocate(3), pool.allocate(3)
    remember(pool, PROMPTS[0], old)
    remember(pool, PROMPTS[7], new)
    pool.release(old)
    pool.release(new)
    # The tail of a prefix goes before its beginning, which more can share.
    assert pool.allocate(2) == [old[2], old[1]]
    assert pool.match(PROMPTS[0])[0] == old[:1]
    assert pool.match(PROMPTS[7])[0] == new


def test_more_blocks_than_available_are_not_allocated():
    pool = BlockPool(3)
    assert pool.allocate(4) is None
    assert pool.available == 3


def corrupt_users(pool):
    pool._users[0] = 0


def corrupt_idle(pool):
    del pool._idle[5]


def corrupt_keys(pool):
    pool._keys[1] = None


def corrupt_tree(pool):
    pool._tree.clear()


@pytest.mark.parametrize(
    ("corrupt", "fault"),
    [
        (corrupt_users, "users and blocks that sequences hold differ at block 0"),
        (corrupt_idle, "idle blocks and blocks without users differ at block 5"),
        (corrupt_keys, "keys of blocks and the prefix tree differ at block 1"),
        (corrupt_tree, "keys of blocks and the prefix tree differ at block 0, 1, 2"),
    ],
)
def test_records_that_disagree_are_named(corrupt, fault):
    pool = BlockPool(6)
    blocks = pool.allocate(3)
    remember(pool, PROMPTS[0], blocks)
    pool.check_integrity(blocks)
    corrupt(pool)
    with pytest.raises(CacheFault, match=f"{fault}$"):
        pool.check_integrity(blocks)


def test_a_block_that_was_never_released_is_named():
    pool = BlockPool(90)
    pool.allocate(80)
    with pytest.raises(CacheFault, match="differ at block 0, 1, 2, 3, 4 and 75 more"):
        pool.check_integrity([])


class Books(RuleBasedStateMachine):
    """Any order of uses keeps the books balanced and never hands a used block out again."""

    def __init__(self):
        super().__init__()
        self.pool = BlockPool(12)
        self.held = []

    @rule(prompt=st.sampled_from(PROMPTS))
    def begin(self, prompt):
        known, _, _ = self.pool.match(prompt)
        fresh = self.pool.allocate(4 - len(known))
        if fresh is None:
            self.pool.release(known)
            return
        in_use = {block for blocks in self.held for block in blocks}
        assert not in_use & set(fresh)
        remember(self.pool, prompt, (known + fresh)[:3])
        self.held.append(known + fresh)

    @rule(which=st.integers(0, 99))
    def end(self, which):
        if self.held:
            self.pool.release(self.held.pop(which % len(self.held)))

    @invariant()
    def balanced(self):
        self.pool.check_integrity(block for blocks in self.held for block in blocks)
        used = {block for blocks in self.held for block in blocks}
        assert self.pool.available == 12 - len(used)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
