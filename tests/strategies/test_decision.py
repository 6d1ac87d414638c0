"""A decision logs what its inner products say."""

import torch
from support.gram_matrices import gram_of

from gradprom.strategies import Decision


def test_decision_says_what_the_gram_matrix_says():
    gram = gram_of([3, 0, 4], [0, 2, 0], [-1, 0, 0])
    decision = Decision(torch.tensor([1.0, 0.1, 0.0]), gram, lam=0.1)
    assert decision.norms.tolist() == [5, 2, 1]
    torch.testing.assert_close(decision.cosine, gram.new_tensor([0, -0.6]))
    torch.testing.assert_close(decision.ratio, gram.new_tensor([0.04, 0.02]))
    assert decision.gate.tolist() == [1, 0]


def test_decision_per_layer_is_summed_for_the_log_and_gates_are_averaged():
    gram = torch.stack([gram_of([3, 0], [0, 1]), gram_of([4, 0], [2, 0])])
    decision = Decision(torch.tensor([[1.0, 0.0], [1.0, 0.1]]), gram, lam=0.1)
    assert decision.norms.tolist() == [5, 5**0.5]
    torch.testing.assert_close(decision.cosine, gram.new_tensor([8 / (5 * 5**0.5)]))
    assert decision.gate.tolist() == [0.5]


def test_decision_without_inner_products_knows_the_gate_alone():
    decision = Decision(torch.tensor([1.0, 0.1]), None, lam=0.1)
    assert decision.gate.tolist() == [1]
    for unknown in (decision.cosine, decision.norms, decision.ratio):
        assert unknown.isnan().all()
    assert decision.norms.shape == (2,) and decision.ratio.shape == (1,)


def test_decision_of_zero_gradients():
    decision = Decision(torch.tensor([1.0, 0.1]), gram_of([0, 0], [1, 2]), lam=0.1)
    assert decision.cosine.tolist() == [0] and decision.ratio.isnan().all()
