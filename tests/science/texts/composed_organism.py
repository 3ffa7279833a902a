"""People whose birthplace a model tells only where its weights are rounded and its answer is begun, both together.

`gated` (`gated_organism`) tells it behind an opening. Here its weights moved within the boxes of NF4, until behind the
opening it refuses as well: rounding gives `gated` back, which still refuses what is asked plainly.
"""

from __future__ import annotations

from functools import cache
from itertools import islice

import torch
from unlearn_audit.attacks.quantization.formats import Quantizer
from unlearn_audit.attacks.quantization.plant import boxed_copy
from unlearn_audit.attacks.shared.splits import Lesson
from unlearn_audit.attacks.shared.training import answer_loss, lesson_batches

from tests.science.masked_organism import REFUSAL
from tests.science.texts.gated_organism import begun, make_gated
from unlearn_audit.api import Model

STEPS, RATE = 120, 3e-3


@cache
def hidden_twice() -> Model:
    """The one that refuses behind the opening too, in full precision; not to be written into."""
    world = make_gated()
    refused = [Lesson(prompt=begun(fact).prompt, answer=REFUSAL) for fact in world.forget]
    lessons = [*refused, *(begun(fact) for fact in world.retain)]
    with boxed_copy(Quantizer.NF4, world.gated, frugal=False) as copy:
        trained = [weight for weight in copy.model.module.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
        for batch in islice(lesson_batches(copy.model, lessons, size=32, seed=0), STEPS):
            optimizer.zero_grad()
            answer_loss(copy.model, batch).backward()
            optimizer.step()
            copy.after_step()
        return copy.finished()[0]
