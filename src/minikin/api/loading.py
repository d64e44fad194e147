"""From a model's file to a model that answers."""

from __future__ import annotations

import asyncio

from minikin.api.served_model import ServedModel
from minikin.chat.template_process import Source, TemplateProcess
from minikin.config import ModelSettings
from minikin.engine.model_file import open_model_file
from minikin.engine.process import EngineProcess
from minikin.engine.tokenizer import Tokenizer
from minikin.errors import ModelFileError


async def load_model(settings: ModelSettings) -> ServedModel:
    """The model, once it answers. Raises SetupError."""
    engine = EngineProcess(settings.engine)
    await engine.start()  # it loads while this process reads the tokenizer
    template = None
    try:
        tokenizer = await asyncio.to_thread(_read_tokenizer, settings)
        template = _template(settings, tokenizer)
        await template.start()
        model = await asyncio.to_thread(ServedModel, engine, tokenizer, template)
        await engine.wait_ready()
    except BaseException:
        await engine.stop()
        if template:
            await template.stop()
        raise
    model.warm()
    return model


def _read_tokenizer(settings: ModelSettings) -> Tokenizer:
    return Tokenizer.from_gguf(open_model_file(settings.engine.model).metadata)


def _template(settings: ModelSettings, tokenizer: Tokenizer) -> TemplateProcess:
    if tokenizer.chat_template is None:
        raise ModelFileError(
            f"{settings.engine.model.name} has no chat template, so it can't hold a conversation. "
            "Choose a model tuned for chat (an Instruct or Chat version)."
        )
    return TemplateProcess(
        Source(
            tokenizer.chat_template,
            list(tokenizer.control_tokens),
            tokenizer.bos_token,
            tokenizer.eos_token,
        )
    )
