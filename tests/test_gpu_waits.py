"""Where a step of training waits for the GPU, every place with its reason: an idle GPU is what a wait costs."""

import numpy as np
import pytest
import torch

from soundgate.training.task import DrawnTask
from tests.pretended_gpu import PretendedGpu
from tests.training.every_training import trainings

# By the place.
REASONS = {
    "training.distribution: batch_means": "all losses of an optimiser's step in one copy, for curves and the monitor",
    "training.finite: require_finite": "a batch is refused before a weight moves",
    "training.learner: clip_gradients": "none on a GPU: PyTorch's own code sees where the gradients really lie",
    "codecs.base: _check_float": "the codecs' contract refuses latents that are not finite",
    "tracks.editor.policy.advantage: normalised": "PPO counts decisions, whose number differs from batch to batch",
    "tracks.editor.policy.executing: _pieces": "the edit of a beat is carried out by rules, on the processor",
    "tracks.editor.policy.ppo: <dictcomp>": "PPO's figures, a number each; a roll-out takes a hundred times as long",
    "tracks.editor.policy.ppo: _learn_policy": "the divergence decides whether PPO goes on with this batch",
    "tracks.editor.policy.ppo: _learn_value": "as the policy",
    "tracks.editor.policy.ppo: _refuse_other_answers": "PPO's first ratio is 1, or nothing after it is right",
    "tracks.editor.policy.ppo: step": "as the other figures",
    "tracks.editor.reconstruct.renderer: forward": "what labels say by definition is worked out on the processor",
    "tracks.structure.dynamics.linear: expected": "which model was not fitted on a frame: two are asked at most",
    "tracks.transfer.adversarial_task: update_critic": "a critic that is too good does not learn",
    "training.adversarial: group_means": "which genres are in a batch is drawn",
}


@pytest.mark.slow
@pytest.mark.parametrize("track", ["structure", "transfer", "editor", "voice"])
def test_every_wait_in_a_step_has_a_reason(track):
    module, found = trainings(), {}
    tiny = module.Setup(module.composed("tiny"), torch.device("cuda"))
    for name, recipe in module.TRAININGS.items():
        if name.startswith(track):
            with PretendedGpu() as gpu:
                training = recipe.build(tiny.changed({recipe.batch: max(4, recipe.fewest)}))
                gpu.waits.clear()
                training.step(0)
                if isinstance(training.task, DrawnTask):
                    there = set(gpu.there)
                    training.task.draw(np.arange(training.batch), 1)
                    assert set(gpu.there) == there, "loader processes cannot use a GPU"
            found |= {place: (name, function) for place, function in gpu.waits}
    assert {place: found[place] for place in found.keys() - REASONS.keys()} == {}
    assert "training.finite: require_finite" in found
