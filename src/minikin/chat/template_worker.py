"""The process that runs a model's chat template. It ends if the template exceeds a limit."""

from __future__ import annotations

from collections.abc import Callable

from minikin.bounded.limits import OverTime
from minikin.bounded.worker import serve
from minikin.chat.template import ChatTemplate
from minikin.chat.template_process import Conversation, Reply, Source
from minikin.errors import InvalidRequest, TemplateError


def begin(source: Source) -> Callable[[Conversation], Reply]:
    """Try the template. Returns the function that renders with it. Raises MinikinError."""
    try:
        template = ChatTemplate(source.template, source.control_tokens, source.bos, source.eos)
        template.try_out()
    except OverTime as error:
        raise TemplateError(str(error)) from error

    def answer(asked: Conversation) -> Reply:
        try:
            pieces = template.render(
                asked.messages,
                tools=asked.tools,
                must_call=asked.must_call,
                answer=asked.answer,
                variables=asked.variables,
            )
        except InvalidRequest as error:
            return Reply(refusal=error.message)
        except TemplateError as error:
            return Reply(fault=error.reason)
        except OverTime as error:
            return Reply(fault=str(error))
        return Reply(pieces)

    return answer


if __name__ == "__main__":
    serve(Source, Conversation, begin)
