"""The training loop on a tiny model: what is learnt, what stays, and that stopping anywhere changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import corpus, encoded, model, reaction, trainer

torch = pytest.importorskip("torch", reason="no torch: training needs the extra `train`")
pytest.importorskip("transformers", reason="no transformers: training needs the extra `train`")


def weights(network: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def changed(before: dict[str, Any], network: Any) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def stage(epochs: int = 2, rate: float = 3e-3) -> Any:
    from training.fit import Stage

    return Stage("all", 1.0, False, epochs, rate, 1e-2)


def test_the_loss_falls_and_the_blamed_drug_is_told_from_the_innocent_one() -> None:
    from training.batches import collate
    from training.fit.losses import pair_logits

    training = trainer(model(), stages=(stage(8),))
    losses = training.run_stage(encoded(corpus(160)), training.recipe.stages[0])
    assert sum(losses[-10:]) < 0.25 * sum(losses[:10])
    batch = collate(encoded([reaction("aspirin", "rash", "1", innocent="lithium", days="7")]))
    innocent, blamed = pair_logits(training.finish()(batch.input_ids, batch.attention_mask)[3], batch).tolist()
    assert innocent < 0 < blamed


def run_all(training: Any, items: list[Any], after_step: Any = lambda: None) -> Any:
    """Every stage that is left."""
    for one in training.recipe.stages[training.position.stage :]:
        training.run_stage(items, one, after_step=after_step)
    return training


def interrupted(folder: Path, after: int, every: int, **recipe: Any) -> tuple[Any, Any]:
    """A trainer that was killed after so many steps, and a new one that goes on from its last checkpoint."""
    items = encoded(corpus(80))
    first = trainer(model(), **recipe)

    def after_step() -> None:
        if first.position.step % every == 0:
            first.save(folder)
        if len(first.position.losses) >= after:
            raise KeyboardInterrupt

    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        run_all(first, items, after_step)
    second = trainer(model(seed=99), **recipe)
    torch.manual_seed(77)  # whatever the new process did with its generator
    second.restore(folder)
    return first, run_all(second, items)


@pytest.mark.parametrize("after", [4, 7, 9, 14])
def test_a_resumed_fit_has_the_losses_and_weights_of_one_that_was_never_interrupted(after: int, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"stages": (stage(2), stage(1, 1e-3)), "ema": 0.9, "accumulate": 2, "seed": 11}
    items = encoded(corpus(80))
    whole = trainer(model(), **recipe)
    torch.manual_seed(5)
    run_all(whole, items)
    first, second = interrupted(tmp_path, after, 3, **recipe)
    assert second.position.losses == whole.position.losses
    assert first.position.losses == whole.position.losses[: len(first.position.losses)]
    assert changed(weights(whole.finish()), second.finish()) == set()


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    from training.fit import Log, RecipeError, Trainer

    one = trainer(model())
    one.save(tmp_path)
    other = Trainer(model(), one.recipe, Log(None, quiet=True), identity="another recipe or other data")
    with pytest.raises(RecipeError, match="start without --resume"):
        other.restore(tmp_path)
    with pytest.raises(RecipeError, match="to resume from"):
        other.restore(tmp_path / "elsewhere")


def test_frozen_layers_stay_as_they_are() -> None:
    from training.fit.optimise import freeze

    network = model(layers=3)
    before = weights(network)
    freeze(network, 2)
    training = trainer(network, stages=(stage(1),))
    training.run_stage(encoded(corpus(40)), training.recipe.stages[0])
    learnt = changed(before, network)
    assert not [name for name in learnt if ".layer.0." in name or ".layer.1." in name or ".embeddings." in name]
    assert [name for name in learnt if ".layer.2." in name]
    assert {"sentence.weight", "drug.weight", "pair_drug.weight", "pair_bias"} <= learnt


def test_more_layers_than_there_are_cannot_be_frozen() -> None:
    from training.fit import RecipeError
    from training.fit.optimise import freeze

    with pytest.raises(RecipeError, match="the encoder has 2 layers"):
        freeze(model(layers=2), 3)


def test_adapters_learn_alone_and_merge_to_the_same_outputs() -> None:
    pytest.importorskip("peft", reason="no peft: adapters need the extra `train`")
    from training.batches import collate
    from training.fit.optimise import add_adapters, merge_adapters

    network = model()
    before = weights(network)
    add_adapters(network, 4)
    training = trainer(network, stages=(stage(2),))
    training.run_stage(encoded(corpus(40)), training.recipe.stages[0])
    bases = {
        name.replace("base_layer.", "").replace("base_model.model.", ""): t for name, t in weights(network).items()
    }
    assert [name for name in before if name.startswith("encoder.") and not torch.equal(bases[name], before[name])] == []
    batch = collate(encoded(corpus(12, seed=3)))
    adapted = training.finish()(batch.input_ids, batch.attention_mask)
    merge_adapters(network)
    assert set(network.state_dict()) == set(before)
    for got, expected in zip(network.eval()(batch.input_ids, batch.attention_mask), adapted, strict=True):
        assert torch.allclose(got, expected, atol=1e-4)
    assert [name for name in changed(before, network) if name.startswith("encoder.encoder.layer.")]


def test_two_batches_a_step_have_the_gradient_of_one_that_is_twice_as_large() -> None:
    items = encoded([s for s in corpus(16) if not s.positive])  # their loss is a mean over sentences
    gradients = []
    for batches in ([items], [items[:4], items[4:]]):
        training = trainer(model().eval())
        for members in batches:
            (training.forward_loss(members) / len(batches)).backward()
        gradients.append(training.model.sentence.weight.grad.clone())
    assert torch.allclose(*gradients, atol=1e-6)


def test_the_running_mean_is_that_of_its_definition() -> None:
    from training.fit.optimise import RunningMean

    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 1.0)
    mean, expected = RunningMean(network, 0.5), 1.0
    for step, value in enumerate((2.0, 3.0, 7.0), 1):
        torch.nn.init.constant_(network.weight, value)
        mean.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(mean.weights["weight"]) == pytest.approx(expected)


def test_early_stopping_ends_the_stage_and_keeps_the_best_weights() -> None:
    training = trainer(model(), stages=(stage(30, 2e-2),), held=0.2, patience=2)
    items, held = encoded(corpus(40)), encoded(corpus(24, seed=9))
    seen: list[float] = []
    measure = training.held_loss
    training.held_loss = lambda some: seen.append(measure(some)) or seen[-1]
    training.run_stage(items, training.recipe.stages[0], held)
    assert len(seen) < 30
    assert seen[-3] == min(seen)
    training.model.eval()
    assert measure(held) == pytest.approx(min(seen), rel=1e-4)


def test_half_precision_needs_a_gpu() -> None:
    from training.fit import RecipeError

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RecipeError, match="needs a GPU"):
        trainer(model(), precision="fp16")


def test_layer_wise_rates_fall_with_depth() -> None:
    from training.fit.optimise import optimiser_for, set_rates

    training = trainer(model(layers=3), layer_decay=0.5)
    optimiser = optimiser_for(training.model, stage(rate=8e-3), training.recipe)
    named = {id(p): name for name, p in training.model.named_parameters()}
    rates = {named[id(p)]: group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert [rates[f"encoder.encoder.layer.{i}.output.dense.weight"] for i in range(3)] == [2e-3, 4e-3, 8e-3]
    assert rates["encoder.embeddings.LayerNorm.weight"] == 1e-3
    assert rates["pair_drug.weight"] == rates["sentence.bias"] == 1e-2
    assert set_rates(optimiser, 0.5) == 5e-3
