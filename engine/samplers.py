"""Samplers by their usual names, as diffusers scheduler classes.

Which name fits depends on what the model predicts: noise or velocity on a diffusion process, or
the flow of rectified flow (arXiv:2209.03003). diffusers imports happen inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class with the settings that make it the named sampler."""

    class_name: str
    overrides: dict[str, Any] = field(default_factory=dict)


# arXiv:2010.02502, 2206.00364 (Euler), 2211.01095 (DPM-Solver++), 2302.04867 (UniPC), 2310.04378
DIFFUSION_SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler("DDIMScheduler"),
    "dpm++": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++ sde": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "euler": Sampler("EulerDiscreteScheduler"),
    "euler-a": Sampler("EulerAncestralDiscreteScheduler"),
    "unipc": Sampler("UniPCMultistepScheduler"),
    "lcm": Sampler("LCMScheduler"),
}
_FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
# For rectified flow, Euler's method is the first-order solver, whatever the interface.
FLOW_SAMPLERS: dict[str, Sampler] = {
    "flow-euler": Sampler(
        "DPMSolverMultistepScheduler",
        {**_FLOW, "algorithm_type": "dpmsolver++", "solver_order": 1},
    ),
    "dpm++": Sampler(
        "DPMSolverMultistepScheduler",
        {**_FLOW, "algorithm_type": "dpmsolver++", "solver_order": 2},
    ),
    "dpm++ sde": Sampler(
        "DPMSolverMultistepScheduler",
        {**_FLOW, "algorithm_type": "sde-dpmsolver++", "solver_order": 2},
    ),
    "unipc": Sampler("UniPCMultistepScheduler", _FLOW),
}
# Pipelines of this kind (FLUX) hand over their own sigmas and call scale_noise on edits; no
# other class in diffusers 0.42 takes both.
FLOW_MATCH_SAMPLERS: dict[str, Sampler] = {
    "flow-euler": Sampler("FlowMatchEulerDiscreteScheduler"),
}
# arXiv:2503.09641; its pipelines hand over arguments of this class.
CONSISTENCY_SAMPLERS: dict[str, Sampler] = {"scm": Sampler("SCMScheduler")}


def samplers_for(scheduler: Any) -> dict[str, Sampler]:
    """Return the samplers that fit a model, judged by its own diffusers scheduler."""
    if type(scheduler).__name__.startswith("FlowMatch"):
        return FLOW_MATCH_SAMPLERS
    if type(scheduler).__name__ == "SCMScheduler":
        return CONSISTENCY_SAMPLERS
    if scheduler.config.get("prediction_type") == "flow_prediction":
        return FLOW_SAMPLERS
    return DIFFUSION_SAMPLERS


def new_scheduler(base: Any, name: str | None) -> Any:
    """Make one request's own diffusers scheduler: schedulers keep the state of a run.

    Args:
        base: the model's scheduler; its noise schedule is kept.
        name: a sampler name, or None for the model's own.

    Raises:
        InvalidRequest: if no sampler of that name fits the model; lists those that do.
    """
    if name is None:
        return type(base).from_config(base.config)
    fitting = samplers_for(base)
    sampler = fitting.get(name.strip().lower())
    if sampler is None:
        raise InvalidRequest(
            f"Sampler '{name[:40]}' does not fit this model.",
            hint=f"Samplers that do: {', '.join(fitting)}.",
        )
    import diffusers

    overrides = dict(sampler.overrides)
    if overrides.get("use_flow_sigmas") and "flow_shift" not in base.config:
        overrides["flow_shift"] = base.config.get("shift", 1.0)
    return getattr(diffusers, sampler.class_name).from_config(base.config, **overrides)
