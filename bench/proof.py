"""Whether each message of a campaign has a complete proof card, and how fast cards come.

10,000 people, half of them from an attested list and half recorded one by one, get a
campaign by the worker and the simulator. Then a card is written for each message that was
accepted, from sealed events. `BENCH_PROOF` makes it smaller.
"""

import os
import sys
import time
from pathlib import Path

import ground
from dispatch import Race

TARGETS = {"complete_percent": ("min", 100.0)}
PEOPLE = int(os.environ.get("BENCH_PROOF", "10000"))
PAGE = 500


def measure() -> dict[str, float]:
    """Import, record, send, seal, and read every card."""
    import consents

    with ground.prepared() as land:
        race = Race(land)
        consents.prepare(race.account)
        listed = consents.by_list(race.account, PEOPLE // 2)
        consents.by_hand(race.account, PEOPLE - listed)
        worker = land.start(
            str(Path(sys.executable).with_name("clarion")), "worker", "--relay"
        )
        known, order = race.received(), consents.order(race.account, race.sender_id)
        ground.until(lambda: race.received() - known >= PEOPLE, 300, "not all arrived")
        ground.until(lambda: consents.waiting(race.account, order) == 0, 60, "rows lack")
        land.stop(worker)
        began = time.perf_counter()
        sealed = consents.seal(race.account)
        sealing = time.perf_counter() - began
        ids = consents.accepted(race.account, order)
        assert len(ids) == PEOPLE
        began, complete, intact = time.perf_counter(), 0, 0
        for at in range(0, len(ids), PAGE):
            cards = consents.cards(race.account, ids[at : at + PAGE])
            complete += sum(card.complete for card in cards)
            intact += sum(
                card.agreed is not None and card.agreed.seal == "sealed" for card in cards
            )
        reading = time.perf_counter() - began
        began = time.perf_counter()
        assert consents.verify(race.account).broken == ""
        walking = time.perf_counter() - began
    return {
        "complete_percent": 100.0 * complete / PEOPLE,
        "sealed_percent": 100.0 * intact / PEOPLE,
        "cards_per_s": len(ids) / reading,
        "seal_per_s": sealed / sealing,
        "verify_per_s": sealed / walking,
        "messages": float(len(ids)),
    }
