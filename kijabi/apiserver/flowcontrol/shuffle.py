"""Deals each flow a few of a priority level's queues: two flows seldom have the same.

`gate.py` deals once for each flow; `queueset.py` puts a request into the shortest of its hand. So a flow that fills
its queues leaves almost every other flow a queue that is not full (k8s.io/apiserver `pkg/util/shufflesharding`).
"""

from __future__ import annotations

import hashlib


def flow_hash(schema: str, distinguisher: str) -> int:
    """64 bits that name a flow, the same as upstream's."""
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "little")


def deal(number: int, deck: int, hand: int) -> tuple[int, ...]:
    """Different cards, of 0 to deck - 1, picked by a number: each remainder picks among the cards that are left."""
    picks: list[int] = []
    for place in range(hand):
        number, pick = divmod(number, deck - place)
        picks.append(pick)
    cards: list[int] = []
    for place, pick in enumerate(picks):
        card = pick
        for earlier in reversed(picks[:place]):
            if card >= earlier:
                card += 1
        cards.append(card)
    return tuple(cards)
