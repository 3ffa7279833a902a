"""Membership by gradients: does what should be forgotten still lie where the loss is flat?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from unlearn_audit.api import Access, ComparisonContext, Features, Model

from .membership import Membership


class MembershipGradient(Membership):
    """Membership inference as in `membership`, by a score that only a holder of the weights can compute.

    - `gradient-norm`: minus the Euclidean norm of the gradient of the loss (mean -log p of the answer's tokens, given
      the question); a model has little to learn from texts it was trained on, so higher says "member" (1812.00910, and
      the gradient norm of 2402.07841).

    Estimates, null and units are those of `membership`, and so are its known failures. It is a plug-in of its own
    because it needs the weights, and is not for an API user; the policy can name either.

    Departure: the gradient is that with regard to the output of the input embedding, over all positions of the text,
    where those papers take the weights. One pass backward then gives it for a whole batch, with no memory for gradients
    of weights, and quantized layers pass it on. It is scaled by the weights that it passes: compare models of one
    original.

    Of the parameters of `membership` only `prefix_facts` counts: the facts that it takes are left out here too, so that
    both speak of the same.

    A gradient that is no number makes the reading missing, for that model and those compared with it.
    """

    name: ClassVar[str] = "membership-gradient"
    summary: ClassVar[str] = (
        "Tells forgotten facts from facts that nobody was trained on by the gradient of their loss."
    )
    paper: ClassVar[str] = "1812.00910"
    access: ClassVar[Access] = Access.WEIGHTS

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """One score a text, in the order of `membership`."""
        from .tools.gradient_norms import gradient_norms

        _, facts = self.texts(context)
        return {"gradient-norm": -np.array(gradient_norms(model, [pair for _, pair in facts]))}
