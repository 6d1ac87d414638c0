"""GradProm: an auxiliary gradient joins where it agrees with the main one (Section 3.2).

Also known as gradient cosine similarity for auxiliary losses (Du et al., "Adapting auxiliary losses
using gradient similarity", arXiv 1812.02224), whose weighted and unweighted variants are the gates.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_choice, check_lambda, cosines, with_main


@dataclass(kw_only=True)
class GradProm(Strategy):
    """θ gets ∇θ L_IP, and λ∇θ L_VR as well where the gate is open; φ gets ∇φ L_VR either way.

    Both gradients are taken over θ. Each auxiliary loss has a gate of its own.
    """

    name: str = "gradprom"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""
    gate: str = "hard"
    """"hard": λ where ⟨∇θ L_IP, ∇θ L_VR⟩ >= 0, else 0 (the two cases of Section 3.2);
    "cosine": λ·max(0, cos) (Lemma 3.1)."""
    granularity: str = "whole"
    """"whole": one gate for θ; "layer": one for each layer (a reading of Fig. 3b)."""
    gate_on: str = field(default="all", metadata={"before": "all"})  # younger than stored ids
    """"all": the gradients over θ decide; "last": only those of its last layer, the convolution
    that produces the enhanced image. Cheaper, not in the paper; both are added over all of θ."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        check_choice("gate", self.gate, ("hard", "cosine"))
        check_choice("granularity", self.granularity, ("whole", "layer"))
        check_choice("gate_on", self.gate_on, ("all", "last"))
        if self.gate_on == "last" and self.granularity == "layer":
            raise ValueError("gate_on 'last' needs granularity 'whole', got 'layer'")

    def weights(self, gram: Tensor) -> Tensor:
        """(1, λ·gate, …); the gate is closed for a gradient that is not finite."""
        if self.gate == "hard":
            agreement = gram[..., 0, 1:]
            is_open = (agreement >= 0) & agreement.isfinite()
            return with_main(gram, is_open.to(gram.dtype) * self.lam)
        cosine = cosines(gram)
        return with_main(gram, torch.where(cosine > 0, cosine * self.lam, 0.0))


Options = GradProm
