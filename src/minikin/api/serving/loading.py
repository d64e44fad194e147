"""Turns a model's file into a model that answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minikin.config import ModelSettings
from minikin.engine.host.client import EngineClient
from minikin.engine.host.supervisor import EngineSupervisor

if TYPE_CHECKING:
    from minikin.api.serving.served_model import ServedModel
    from minikin.chat.template_process import TemplateProcess
    from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)


async def load_model(settings: ModelSettings) -> ServedModel:
    """Load the model on this machine. Returns when it is ready. Raises SetupError."""
    return await load_with(EngineSupervisor(settings.engine), settings)


async def load_with(engine: EngineClient, settings: ModelSettings) -> ServedModel:
    """The model with this engine. Returns when it is ready. Raises SetupError."""
    # The engine loads while this process imports what it needs itself, and reads the tokenizer.
    await engine.start()
    template = None
    try:
        tokenizer, template, sampling = await asyncio.to_thread(_read, settings)
        await template.start()
        model = await asyncio.to_thread(_served, settings, engine, tokenizer, template, sampling)
        await engine.wait_ready()
    except BaseException:
        await engine.stop()
        if template:
            await template.stop()
        raise
    model.warm()
    return model


def _read(settings: ModelSettings) -> tuple[Tokenizer, TemplateProcess, dict[str, float]]:
    """What the HTTP process needs of the file, which takes a tenth of a second to read."""
    from minikin.model_file.model_file import open_model_file
    from minikin.tokenizer.tokenizer import Tokenizer

    metadata = open_model_file(settings.engine.model).metadata
    tokenizer = Tokenizer.from_gguf(metadata)
    return tokenizer, _template(settings, tokenizer), default_sampling(settings, metadata)


def _served(
    settings: ModelSettings,
    engine: EngineClient,
    tokenizer: Tokenizer,
    template: TemplateProcess,
    sampling: dict[str, float],
) -> ServedModel:
    from minikin.api.serving.served_model import ServedModel

    return ServedModel(engine, tokenizer, template, sampling, hide_format=settings.hide_format)


def default_sampling(settings: ModelSettings, metadata: Mapping[str, Any]) -> dict[str, float]:
    """The model's own defaults, by the names of SamplingParams. OpenAI's apply to missing ones.

    The model's file has priority over the record of a known model. Raises ModelFileError.
    """
    if settings.sampling == "openai":
        return {}
    from minikin.model_file.sampling import recommended_sampling

    sampling = settings.known_sampling | recommended_sampling(metadata)
    if sampling:
        chosen = ", ".join(f"{name} {value:g}" for name, value in sampling.items())
        log.info("Sampling defaults of %s: %s", settings.id, chosen)
    return sampling


def _template(settings: ModelSettings, tokenizer: Tokenizer) -> TemplateProcess:
    from minikin.chat.template import PLAIN
    from minikin.chat.template_process import Source, TemplateProcess

    template = tokenizer.chat_template
    if template is None:
        log.warning(
            "%s has no chat template. It is treated as a base model and continues the text of the "
            "messages. For conversations, choose an Instruct or Chat version of the model.",
            settings.engine.model.name,
        )
    return TemplateProcess(
        Source(
            template or PLAIN,
            list(tokenizer.control_tokens),
            tokenizer.bos_token,
            tokenizer.eos_token,
        )
    )
