from itertools import islice

from mlops.gateway.tokens import random_tokens


def test_tokens_are_never_repeated_over_many_draws_and_generators() -> None:
    found = [*islice(random_tokens(), 3000), *islice(random_tokens(), 3000)]

    assert len(set(found)) == 6000
    assert {len(token) for token in found} == {16}
    assert set("".join(found)) == set("0123456789abcdef")
