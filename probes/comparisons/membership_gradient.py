"""Membership by gradients: are the facts that should be forgotten still where the loss is flat?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from unlearn_audit.api import Access, ComparisonContext, Features, Model

from .membership import Membership


class MembershipGradient(Membership):
    """Membership inference as in `membership`, with a score that needs the weights.

    - `gradient-norm`: minus the Euclidean norm of the gradient of the loss (mean -log p of the answer's tokens, given
      the question); a model has little to learn from texts it was trained on, so higher says "member" (1812.00910, and
      the gradient norm of 2402.07841).

    Estimates, null, units and known failures are those of `membership`. It is a separate plug-in
    because an API user does not have the weights; the policy can name either.

    Departure: the gradient is with respect to the output of the input embedding, over all positions of the text,
    while those papers use the weights. One backward pass then gives it for a whole batch, with no memory for gradients
    of weights, and it passes through quantized layers. It is scaled by the weights it passes: compare models of one
    original.

    Of the parameters of `membership` only `prefix_facts` matters: the facts that it uses are excluded here as well, so
    that both cover the same facts.

    A gradient that is not a number makes the reading missing, for that model and those compared with it. Texts longer
    than what one of the models reads are left out, as in `membership`.
    """

    name: ClassVar[str] = "membership-gradient"
    summary: ClassVar[str] = "Tells forgotten facts from facts that no model was trained on by their loss gradient."
    paper: ClassVar[str] = "1812.00910"
    access: ClassVar[Access] = Access.WEIGHTS

    def extract(self, model: Model, context: ComparisonContext) -> Features:
        """One score a text, in the order of `membership`."""
        from .tools.gradient_norms import gradient_norms

        _, facts = self.texts(context)
        return {"gradient-norm": -np.array(gradient_norms(model, [pair for _, pair in facts]))}
