"""Losses against numbers worked out elsewhere, and objectives as they train: layout of batches, blank shares, every architecture."""

import copy
import math
from functools import partial

import lightning
import pytest
import torch
from jsonargparse import ArgumentParser

from musiczoo.models.base.objective import Objective
from musiczoo.models.objectives import (
    DPO,
    DPOP,
    GRPO,
    Likelihood,
    dpo_loss,
    dpop_loss,
    group_advantages,
    grpo_loss,
)
from musiczoo.music.errors import MusicZooError
from tests.models.generative import ARCHITECTURES, build, pieces


def exact(value):
    return pytest.approx(value, abs=1e-6)


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def pair(chosen, rejected):
    """Log-ratios of policy and reference as the four arguments of a loss."""
    return vector(chosen) - 900, vector(rejected) - 950, vector(-900.0), vector(-950.0)


# ------------------------------------------------------------------------------------------------------------------ losses on pairs


def test_worked_pairs():
    assert float(dpo_loss(*pair(-1.0, -3.0), 0.1)) == exact(0.598139)
    assert float(dpop_loss(*pair(-1.0, -3.0), 0.1, 10.0)) == exact(1.171101)
    assert float(dpop_loss(*pair(-1.0, -3.0), 0.1, 10.0, penalty="outside")) == exact(1.598139)
    # A preferred piece that has become likelier is not penalised.
    for loss in (
        dpo_loss(*pair(1.0, -3.0)),
        dpop_loss(*pair(1.0, -3.0)),
        dpop_loss(*pair(1.0, -3.0), penalty="outside"),
    ):
        assert float(loss) == exact(0.513015)


def test_relatives_of_dpo_by_hand():
    assert float(dpo_loss(*pair(-1.0, -3.0), 0.5, kind="hinge")) == exact(0.0)
    assert float(dpo_loss(*pair(-1.0, -3.0), 0.1, kind="hinge")) == exact(0.8)
    assert float(dpo_loss(*pair(-1.0, -3.0), 0.1, kind="ipo")) == exact(9.0)
    sigmoid = 1 / (1 + math.exp(-0.2))
    smoothed = -0.9 * math.log(sigmoid) - 0.1 * math.log(1 - sigmoid)
    assert float(dpo_loss(*pair(-1.0, -3.0), 0.1, label_smoothing=0.1)) == exact(smoothed)


def test_losses_are_means_over_pairs():
    both = [torch.cat(sides) for sides in zip(pair(-1.0, -3.0), pair(1.0, -3.0), strict=True)]
    assert float(dpop_loss(*both)) == exact((1.171101 + 0.513015) / 2)


@pytest.mark.parametrize(
    "loss",
    [
        partial(dpo_loss, beta=0.7),
        partial(dpo_loss, beta=0.7, label_smoothing=0.2),
        partial(dpo_loss, beta=0.7, kind="hinge"),
        partial(dpo_loss, beta=0.7, kind="ipo"),
        partial(dpop_loss, beta=0.7, lambda_=3.0, penalty="inside"),
        partial(dpop_loss, beta=0.7, lambda_=3.0, penalty="outside"),
    ],
)
def test_gradients_of_pairs(loss):
    generator = torch.Generator().manual_seed(1)
    policy = [
        torch.randn(5, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(2)
    ]
    reference = [torch.randn(5, dtype=torch.float64, generator=generator) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda c, r: loss(c, r, *reference), policy)


def test_gradient_of_a_pair_is_that_of_the_paper():
    # Rafailov et al. 2023, section 4: beta times the sigmoid of the reversed margin.
    chosen, rejected = (
        torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (-1.0, -3.0)
    )
    dpo_loss(chosen, rejected, vector(0.0), vector(0.0), 0.1).backward()
    weight = 0.1 / (1 + math.exp(0.1 * 2))
    assert float(chosen.grad) == pytest.approx(-weight)
    assert float(rejected.grad) == pytest.approx(weight)


@pytest.mark.parametrize("make", [dpo_loss, dpop_loss])
def test_the_largest_margins_stay_finite(make):
    chosen = torch.tensor([-5000.0, 5000.0], requires_grad=True)
    loss = make(chosen, -chosen.detach(), torch.zeros(2), torch.zeros(2))
    loss.backward()
    assert loss.isfinite()
    assert chosen.grad.isfinite().all()


# ------------------------------------------------------------------------------------------------------------------ losses on groups

LOG_PROBS = torch.tensor([[-1, -2, -0.5], [-0.7, -1.2, -3]], dtype=torch.float64)
OLD = torch.tensor([[-1.2, -1.7, -0.5], [-1, -1.2, -2]], dtype=torch.float64)
REFERENCE = torch.tensor([[-1.1, -1.9, -0.8], [-0.9, -1, -2.5]], dtype=torch.float64)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
ADVANTAGES = vector(1.0, -1.0)


@pytest.mark.parametrize(
    ("aggregation", "length", "free", "plain", "corrected"),
    [
        ("grpo", None, 0.097328, 0.098069, 0.098132),
        ("bnpo", None, -0.118192, -0.117464, -0.117414),
        ("dapo", None, -0.118192, -0.117464, -0.117414),
        ("dr_grpo", 3, -0.098493, -0.097887, -0.097845),
        ("dr_grpo", None, -0.098493, -0.097887, -0.097845),
    ],
)
def test_worked_groups(aggregation, length, free, plain, corrected):
    settings = {"aggregation": aggregation, "max_completion_length": length}
    inputs = (LOG_PROBS, OLD, REFERENCE, ADVANTAGES, MASK)
    assert float(grpo_loss(*inputs, **settings)) == exact(free)
    assert float(grpo_loss(*inputs, beta=0.04, bias_correction=False, **settings)) == exact(plain)
    assert float(grpo_loss(*inputs, beta=0.04, bias_correction=True, **settings)) == exact(
        corrected
    )


def test_worked_variants_of_groups():
    inputs = (LOG_PROBS, OLD, None, ADVANTAGES, MASK)
    assert float(
        grpo_loss(*inputs, aggregation="dr_grpo", max_completion_length=256)
    ) == pytest.approx(-0.00115422, abs=1e-8)
    assert float(grpo_loss(*inputs, aggregation="grpo", epsilon_high=0.28)) == exact(0.0937612)
    on_policy = (LOG_PROBS, None, REFERENCE, ADVANTAGES, MASK)
    assert float(grpo_loss(*on_policy, aggregation="grpo", beta=0.04)) == exact(
        0.04 * (0.016942186 + 0.020066756) / 2
    )


@pytest.mark.parametrize("aggregation", ["grpo", "bnpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("bias_correction", [True, False])
def test_gradients_of_grpo(aggregation, bias_correction):
    def loss(log_probs):
        settings = {"aggregation": aggregation, "bias_correction": bias_correction, "beta": 0.04}
        return grpo_loss(log_probs, OLD, REFERENCE, ADVANTAGES, MASK, **settings)

    assert torch.autograd.gradcheck(loss, LOG_PROBS.clone().requires_grad_())


def test_on_policy_gradient_is_the_policy_gradient():
    log_probs = LOG_PROBS.clone().requires_grad_()
    grpo_loss(log_probs, None, None, ADVANTAGES, MASK, aggregation="bnpo").backward()
    torch.testing.assert_close(log_probs.grad, -ADVANTAGES.unsqueeze(1) * MASK / 5)


def test_what_stands_behind_the_mask_does_not_matter():
    log_probs = torch.where(MASK, LOG_PROBS, 0.0).requires_grad_()
    loss = grpo_loss(
        log_probs,
        torch.where(MASK, OLD, -math.inf),
        torch.where(MASK, REFERENCE, math.nan),
        ADVANTAGES,
        MASK,
        beta=0.04,
    )
    loss.backward()
    assert float(loss.detach()) == exact(-0.117414)
    assert log_probs.grad.isfinite().all()
    assert not log_probs.grad[~MASK].any()


def test_worked_advantages():
    torch.testing.assert_close(
        group_advantages(vector(1, 2, 3, 4), 4),
        vector(-1.161805, -0.387268, 0.387268, 1.161805),
        atol=1e-6,
        rtol=0,
    )
    assert not group_advantages(vector(5, 5, 5, 5), 4).any()
    rewards = vector(1, 2, 3, 4, 5, 5, 5, 5)
    expected = vector(-0.948623, -0.316208, 0.316208, 0.948623, 0, 0, 0, 0)
    torch.testing.assert_close(
        group_advantages(rewards, 4, scale="batch"), expected, atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        group_advantages(rewards, 4, scale="none"), vector(-1.5, -0.5, 0.5, 1.5, 0, 0, 0, 0)
    )
    assert not group_advantages(vector(1, 2, 3), 1).any()


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_piece_that_could_not_be_scored_changes_nothing_for_the_others(scale):
    rewards = vector(1, math.nan, 3, 4, math.nan, math.nan, math.nan, math.nan)
    advantages = group_advantages(rewards, 4, scale=scale)
    assert not advantages[[1, 4, 5, 6, 7]].any()
    torch.testing.assert_close(
        advantages[[0, 2, 3]], group_advantages(vector(1, 3, 4), 3, scale=scale)
    )


# ------------------------------------------------------------------------------------------------------------------ objectives

OBJECTIVES = {
    "likelihood": Likelihood(),
    "dpo": DPO(),
    "dpo-smoothed": DPO(label_smoothing=0.1),
    "dpo-ipo": DPO(kind="ipo"),
    "dpo-hinge": DPO(kind="hinge"),
    "dpop": DPOP(),
    "dpop-outside": DPOP(penalty="outside"),
    "grpo": GRPO(beta=0.04, aggregation="grpo"),
    "grpo-bnpo": GRPO(beta=0.04, aggregation="bnpo", bias_correction=False),
    "grpo-dr_grpo": GRPO(beta=0.04, aggregation="dr_grpo", max_completion_length=600),
    "grpo-dapo": GRPO(beta=0.04, aggregation="dapo", epsilon_high=0.28),
}


def moved(module):
    """The module after a step in some direction, so that policy and reference differ."""
    other = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return other


def preference_batch(module, chosen, rejected):
    """Pairs by the numbers of their pieces, with the sums of a reference policy that differs from the module."""
    batch = module.representation.collate([*pieces(module, chosen), *pieces(module, rejected)])
    with torch.no_grad():
        return {**batch, "reference": moved(module).log_probs(batch).sums().double()}


def rollout_batch(module, numbers, temperature=1.0):
    """Pieces with random advantages; an older policy sampled them, and each one's first half is a prompt."""
    batch = module.representation.collate(pieces(module, numbers))
    with torch.no_grad():
        old, reference = (
            policy.log_probs(batch, temperature) for policy in (moved(module), moved(moved(module)))
        )
    order = old.mask.cumsum(dim=1)
    return {
        **batch,
        "advantages": torch.tensor([(-1.0) ** number * (1 + number % 3) for number in numbers]),
        "old_log_probs": old.values,
        "ref_log_probs": reference.values,
        "completion": old.mask & (order > order[:, -1:] // 2),
    }


def batches_for(objective, module, count, size):
    """``count`` units in batches of ``size``."""
    if isinstance(objective, DPO | DPOP):
        return [
            preference_batch(module, range(i, i + size), range(i + 20, i + 20 + size))
            for i in range(0, count, size)
        ]
    if isinstance(objective, GRPO):
        return [rollout_batch(module, range(i, i + size)) for i in range(0, count, size)]
    return [
        module.representation.collate(pieces(module, range(i, i + size)))
        for i in range(0, count, size)
    ]


def fit(module, batches, **settings):
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 1, **settings},
    )
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))
    return trainer


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.02)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.filterwarnings("ignore")
def test_one_batch_of_eight_equals_eight_accumulated(name):
    objective = OBJECTIVES[name]
    start = build("bar_stream", objective=objective, optimizer=sgd)
    together, apart = copy.deepcopy(start), copy.deepcopy(start)
    fit(together, batches_for(objective, start, 8, 8))
    fit(apart, batches_for(objective, start, 8, 1), accumulate_grad_batches=8)
    before = start.state_dict()
    assert (
        max(
            float((value - before[key]).abs().max()) for key, value in together.state_dict().items()
        )
        > 1e-4
    )
    for (key, a), b in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6, msg=key)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.filterwarnings("ignore")
def test_every_objective_trains_every_architecture(architecture, name):
    objective = OBJECTIVES[name]
    module = build(architecture, objective=objective, optimizer=adamw)
    [batch] = batches_for(objective, module, 4, 4)

    def loss():
        with torch.no_grad():
            result = objective(module, batch)
        assert all(value.isfinite() for value in result.logs.values())
        return float(result.total / result.count)

    before = loss()
    trainer = fit(module, [batch] * 12)
    assert loss() < before - 1e-3 * abs(before)
    assert math.isfinite(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize(
    "objective",
    [
        DPO(beta=0.3),
        DPO(0.3, "ipo"),
        DPO(0.3, "hinge"),
        DPO(0.3, label_smoothing=0.2),
        DPOP(0.3, 2.0),
    ],
)
def test_objective_equals_the_loss_on_sums_pair_by_pair(objective):
    module = build("bar_stream")
    chosen, rejected = (1, 2, 3), (7, 8, 12)
    batch = preference_batch(module, chosen, rejected)
    losses, margins, penalties = [], [], []
    for index, numbers in enumerate(zip(chosen, rejected, strict=True)):
        sums = []
        for number in numbers:
            scored = module.log_probs(module.representation.collate(pieces(module, [number])))
            sums.append((scored.values.double().sum().detach(), int(scored.mask.sum())))
        (policy_chosen, c), (policy_rejected, r) = sums
        lengths = (c, r) if getattr(objective, "kind", None) == "ipo" else (1, 1)
        references = batch["reference"][[index, index + 3]]
        values = [
            policy_chosen / lengths[0],
            policy_rejected / lengths[1],
            references[0] / lengths[0],
            references[1] / lengths[1],
        ]
        if isinstance(objective, DPOP):
            losses.append(
                dpop_loss(*values, objective.beta, objective.lambda_, penalty=objective.penalty)
            )
        else:
            losses.append(
                dpo_loss(
                    *values,
                    objective.beta,
                    kind=objective.kind,
                    label_smoothing=objective.label_smoothing,
                )
            )
        margins.append(float(policy_chosen - references[0] - policy_rejected + references[1]))
        penalties.append(max(0.0, float(references[0] - policy_chosen)))
    result = objective(module, batch)
    assert float(result.total.detach()) == pytest.approx(float(sum(losses).detach()), rel=1e-5)
    assert int(result.count) == 3
    assert float(result.logs["reward_margin"]) == pytest.approx(0.3 * sum(margins) / 3, rel=1e-3)
    assert float(result.logs["reward_accuracy"]) == pytest.approx(
        sum(margin > 0 for margin in margins) / 3
    )
    difference = result.logs["reward_chosen"] - result.logs["reward_rejected"]
    assert float(difference) == pytest.approx(float(result.logs["reward_margin"]))
    if isinstance(objective, DPOP):
        assert any(penalties)
        assert float(result.logs["penalty"]) == pytest.approx(sum(penalties) / 3, rel=1e-3)


def gradients(module, objective, batch):
    module.zero_grad()
    result = objective(module, batch)
    result.total.backward()
    return result, [p.grad.clone() for p in module.parameters() if p.grad is not None]


def test_a_piece_of_several_pairs_is_scored_once(monkeypatch):
    module, objective = build("bar_stream"), DPOP()
    # All of three chosen with all of two rejected pieces; one piece stands on both sides.
    pairs = [(c, r) for c in (1, 2, 3) for r in (3, 9) if c != r]
    batch = preference_batch(module, [c for c, _ in pairs], [r for _, r in pairs])
    rows = []
    original = type(module).log_probs
    monkeypatch.setattr(
        type(module),
        "log_probs",
        lambda self, b, t=1.0: rows.append(len(b["lengths"])) or original(self, b, t),
    )
    together, of_all = gradients(module, objective, batch)
    assert rows == [4]
    total, apart = 0.0, [torch.zeros_like(g) for g in of_all]
    for index in range(len(pairs)):
        single = {name: value[[index, len(pairs) + index]] for name, value in batch.items()}
        result, of_one = gradients(module, objective, single)
        total += float(result.total)
        apart = [a + b for a, b in zip(apart, of_one, strict=True)]
    assert rows == [4] + [2] * len(pairs)
    assert float(together.total) == pytest.approx(total, rel=1e-6)
    assert int(together.count) == len(pairs)
    for a, b in zip(of_all, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", [DPO(), DPO(kind="ipo"), DPOP()])
def test_a_blank_pair_counts_as_none(objective):
    module = build("bar_stream")
    chosen, rejected, collate = (
        pieces(module, [1, 2]),
        pieces(module, [5, 6]),
        module.representation.collate,
    )
    whole = preference_batch(module, [1], [5])
    reference = torch.stack(
        [whole["reference"][0], torch.tensor(0.0), whole["reference"][1], torch.tensor(0.0)]
    )
    padded = {
        **collate([chosen[0], chosen[1][:1], rejected[0], rejected[1][:1]]),
        "reference": reference,
    }
    (one, of_one), (two, of_two) = (
        gradients(module, objective, whole),
        gradients(module, objective, padded),
    )
    assert (int(one.count), int(two.count)) == (1, 1)
    assert float(two.total) == pytest.approx(float(one.total))
    for a, b in zip(of_one, of_two, strict=True):
        torch.testing.assert_close(a, b)
    for name, value in one.logs.items():
        assert float(two.logs[name]) == pytest.approx(float(value)), name
    # A process whose share is blank alone goes through the same backward pass with a gradient of
    # zero.
    nothing = {
        **collate([chosen[1][:1], rejected[1][:1]]),
        "reference": torch.zeros(2, dtype=torch.float64),
    }
    result, of_none = gradients(module, objective, nothing)
    assert (int(result.count), float(result.total)) == (0, 0.0)
    assert not any(g.any() for g in of_none)


@pytest.mark.parametrize("aggregation", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_a_sequence_without_a_sampled_target_counts_as_none(aggregation):
    module, objective = (
        build("bar_stream"),
        GRPO(0.04, aggregation=aggregation, max_completion_length=600),
    )
    batch = rollout_batch(module, [1, 2, 3])
    less = {**batch, "completion": batch["completion"] & torch.tensor([[True], [False], [True]])}
    two = rollout_batch(module, [1, 3])
    (one, of_one), (other, of_other) = (
        gradients(module, objective, less),
        gradients(module, objective, two),
    )
    assert int(one.count) == int(other.count)
    assert float(one.total) == pytest.approx(float(other.total), rel=1e-5)
    for a, b in zip(of_one, of_other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("aggregation", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_grpo_objective_equals_the_loss_on_tensors(aggregation):
    module = build("bar_stream")
    batch = rollout_batch(module, [1, 2, 3, 6], temperature=1.3)
    objective = GRPO(0.04, 0.1, 0.3, aggregation, temperature=1.3, max_completion_length=500)
    result = objective(module, batch)
    values = module.log_probs(batch, 1.3).values
    expected = grpo_loss(
        values,
        batch["old_log_probs"],
        batch["ref_log_probs"],
        batch["advantages"],
        batch["completion"],
        beta=0.04,
        epsilon=0.1,
        epsilon_high=0.3,
        aggregation=aggregation,
        max_completion_length=500,
    )
    assert float(result.total / result.count) == pytest.approx(float(expected), rel=1e-5)
    ratio, mask = (values - batch["old_log_probs"]).exp(), batch["completion"]
    better = (batch["advantages"] > 0).unsqueeze(1)
    cut = ((ratio > 1.3) & better) | ((ratio < 0.9) & ~better)
    assert float(result.logs["clip_fraction"]) == pytest.approx(float(cut[mask].float().mean()))
    assert 0 < float(result.logs["clip_fraction"]) < 1
    apart = batch["ref_log_probs"] - values
    divergence = (ratio * (apart.exp() - apart - 1))[mask].mean()
    assert float(result.logs["kl"]) == pytest.approx(float(divergence), rel=1e-4)


def test_grpo_without_optional_keys_is_the_policy_gradient():
    module = build("bar_stream")
    batch = rollout_batch(module, [1, 2])
    bare = {name: batch[name] for name in ("patches", "lengths", "advantages")}
    result, found = gradients(module, GRPO(), bare)
    assert set(result.logs) == {"clip_fraction"}
    scored = module.log_probs(bare)
    module.zero_grad()
    (-(scored.values * batch["advantages"].unsqueeze(1)).sum()).backward()
    for a, b in zip(
        found, [p.grad for p in module.parameters() if p.grad is not None], strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert int(result.count) == int(scored.mask.sum())


# ------------------------------------------------------------------------------------------------------------------ settings and errors


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Likelihood", {}),
        ("DPO", {"beta": 0.2, "kind": "ipo"}),
        ("DPOP", {"lambda_": 5.0, "penalty": "outside"}),
        ("GRPO", {"aggregation": "grpo", "epsilon_high": 0.28, "beta": 0.04}),
    ],
)
def test_recipes_can_name_an_objective(name, settings):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objective", type=Objective)
    parsed = parser.parse_object(
        {"objective": {"class_path": f"musiczoo.models.objectives.{name}", "init_args": settings}}
    )
    made = parser.instantiate(parsed).objective
    assert type(made).__name__ == name
    assert {key: getattr(made, key) for key in settings} == settings


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DPO(kind="best"), "sigmoid, ipo, hinge"),
        (lambda: dpo_loss(*pair(1.0, 1.0), kind="best"), "best"),
        (lambda: DPO(beta=0.0), "beta"),
        (lambda: DPO(label_smoothing=0.5), "label_smoothing"),
        (lambda: DPO(kind="ipo", label_smoothing=0.1), "ipo"),
        (lambda: DPOP(penalty="beside"), "inside, outside"),
        (lambda: DPOP(lambda_=-1.0), "lambda_"),
        (lambda: dpop_loss(*pair(1.0, 1.0), penalty="beside"), "beside"),
        (lambda: GRPO(aggregation="mean"), "bnpo"),
        (lambda: GRPO(aggregation="dr_grpo"), "max_completion_length"),
        (lambda: GRPO(temperature=0.0), "temperature"),
        (lambda: GRPO(epsilon=1.5), "epsilon"),
        (lambda: grpo_loss(LOG_PROBS, OLD, None, ADVANTAGES, MASK, beta=0.1), "ref_log_probs"),
        (lambda: grpo_loss(LOG_PROBS, OLD, None, ADVANTAGES[:1], MASK), "advantages"),
        (lambda: grpo_loss(LOG_PROBS, OLD[:, :2], None, ADVANTAGES, MASK), "old_log_probs"),
        (lambda: group_advantages(vector(1, 2, 3), 2), "groups of 2"),
        (lambda: group_advantages(vector(1, 2), 2, scale="rank"), "group, batch, none"),
    ],
)
def test_wrong_settings_are_told(make, message):
    with pytest.raises(MusicZooError, match=message):
        make()


def test_wrong_batches_are_told():
    module = build("bar_stream")
    batch = preference_batch(module, [1, 2], [5, 6])
    plain = {name: batch[name] for name in ("patches", "lengths")}
    with pytest.raises(MusicZooError, match="no reference"):
        DPO()(module, plain)
    with pytest.raises(MusicZooError, match="3 sequences are no pairs"):
        DPO()(module, {name: value[:3] for name, value in batch.items()})
    with pytest.raises(MusicZooError, match="2 reference sums for 4 sequences"):
        DPO()(module, {**batch, "reference": batch["reference"][:2]})
    with pytest.raises(MusicZooError, match="sequence 3 is nan"):
        DPO()(module, {**batch, "reference": batch["reference"] * vector(1, 1, 1, math.nan)})
    collated = module.representation.collate(
        [*pieces(module, [1, 2, 5]), pieces(module, [6])[0][:1]]
    )
    with pytest.raises(MusicZooError, match="Pair 1 has nothing to score on one side"):
        DPO()(module, {**collated, "reference": batch["reference"]})
    with pytest.raises(MusicZooError, match="no advantages"):
        GRPO()(module, plain)
    rollouts = rollout_batch(module, [1, 2])
    with pytest.raises(MusicZooError, match="completion"):
        GRPO()(module, {**rollouts, "completion": rollouts["completion"][:, 1:]})
