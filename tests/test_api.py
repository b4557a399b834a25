"""Tests of the behavior that clients of the API rely on."""

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    ("query", "price"),
    [
        ("size=1500&rooms=6", 200_000),
        ("size=1208&rooms=5&year_built=1925&quality=4&neighborhood=IDOTRR", 103_000),
        (
            "size=2500&rooms=9&year_built=2005&quality=9&neighborhood=NridgHt",
            370_000,
        ),
    ],
)
def test_known_houses_have_plausible_prices(client: TestClient, query: str, price: float) -> None:
    answer = client.get(f"/predict?{query}")

    assert answer.status_code == 200
    assert answer.json()["predicted_price"] == pytest.approx(price, rel=0.2)


def test_a_batch_is_answered_in_its_order(client: TestClient) -> None:
    houses = [{"size": 900, "rooms": 4}, {"size": 3000, "rooms": 9}, {"size": 900, "rooms": 4}]

    prices = client.post("/predict", json={"rows": houses}).json()["predictions"]

    assert prices[0] == prices[2] < prices[1]


def test_a_request_that_lacks_a_value_names_it(client: TestClient) -> None:
    answer = client.get("/predict?rooms=6")

    assert answer.status_code == 422
    assert "size" in answer.text
