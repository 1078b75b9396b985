"""What is changed in the requests that schemathesis makes from docs/openapi.json.

Answers are kept short. Of bodies that are meant to be right, those rules are met that a schema does not
say: that one field goes with another, that there is something to answer, that the model exists.
"""

import schemathesis

MODEL = "small"
MOST_TOKENS = 2
MOST_CHOICES = 2
MAX_TOKENS = 1048576  # of the document
MOST_TURNS = 3  # many fill the context,
MOST_PARTS = 4  # of a turn, as well
MOST_TOOLS = 2
LIMITS = {"/v1/chat/completions": ["max_tokens", "max_completion_tokens"],
          "/v1/completions": ["max_tokens", "max_completion_tokens"],
          "/v1/responses": ["max_output_tokens"], "/v1/messages": ["max_tokens"]}
# Who has tools, and the choice that goes with any of them.
TOOLS = {"/v1/chat/completions": "auto", "/v1/responses": "auto", "/v1/messages": {"type": "auto"},
         "/v1/messages/count_tokens": {"type": "auto"}, "/api/chat": None}
EMBEDDINGS = ("/v1/embeddings", "/api/embed")
ASK = {"role": "user", "content": "Hi"}


def is_limit(value):
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)
                             and value in (*range(-2, 0), min(max(value, 1), MAX_TOKENS)) and value == int(value))


def shorten(body, names):
    """A limit that is right becomes a small one; a wrong one stays wrong."""
    if all(is_limit(body.get(name)) for name in names):
        body.update({name: MOST_TOKENS for name in names})


def shorten_answer(path, body):
    if path in ("/api/chat", "/api/generate"):
        options = {} if body.get("options") is None else body["options"]
        if isinstance(options, dict):
            body["options"] = options = dict(options)
            shorten(options, ["num_predict"])
    elif path in LIMITS and not (path == "/v1/messages" and body.get("max_tokens") is None):
        shorten(body, LIMITS[path])


def simplify_schemas(body):
    """Any object is a schema to the document; what a model is held to has to be a sensible one."""
    wanted = {"type": "object"}
    if isinstance(body.get("format"), dict):
        body["format"] = wanted
    for settings in (body.get("response_format"), (body.get("text") or {}).get("format")):
        if settings and settings["type"] == "json_schema":
            settings.get("json_schema", settings)["schema"] = wanted


def with_tokens(text):
    if isinstance(text, list):
        return [with_tokens(one) for one in text]
    return "a" + text[1:] if isinstance(text, str) and text else text


def meet_unwritten_rules(path, body):
    body.pop("stream_options", None)
    simplify_schemas(body)
    for name in ("model", "name"):
        if isinstance(body.get(name), str) and len(body[name]) % 8 != 7:
            body[name] = MODEL
    if "messages" in body:
        body["messages"] = [*body["messages"][:MOST_TURNS], ASK]
        for one in body["messages"]:
            for parts in ("content", "tool_calls"):
                if isinstance(one.get(parts), list):
                    one[parts] = one[parts][:MOST_PARTS]
        for call in (call for one in body["messages"] for call in one.get("tool_calls") or ()):
            if path == "/v1/chat/completions":
                call["function"]["arguments"] = "{}"
    if isinstance(body.get("input"), list) and path == "/v1/responses":
        for item in body["input"]:
            if item.get("type") == "function_call":
                item["arguments"] = "{}"
    if isinstance(body.get("input"), list):
        body["input"] = body["input"][:MOST_TURNS] if path in EMBEDDINGS else [*body["input"][:MOST_TURNS], ASK]
    if path in EMBEDDINGS:  # some characters are no token of the model
        body["input"] = with_tokens(body.get("input"))
    if path == "/v1/embeddings":
        body.pop("dimensions", None)
    if path in TOOLS:
        body["tools"] = (body.get("tools") or [])[:MOST_TOOLS]
        for tool in body["tools"]:
            tool.get("function", tool).pop("description", None)
        if TOOLS[path] is not None:
            body["tool_choice"] = TOOLS[path]
    if path == "/v1/chat/completions":
        body["logprobs"] = True
    if path == "/v1/completions":
        body["prompt"] = body["prompt"] if isinstance(body["prompt"], str) else body["prompt"][:1]
        body.pop("best_of", None)
    if isinstance(body.get("n"), (int, float)):
        body["n"] = min(body["n"], MOST_CHOICES)
    if body.get("raw"):
        body.pop("system", None)
    if body.get("logit_bias"):
        body["logit_bias"] = {str(int(token) % 1000): bias for token, bias in body["logit_bias"].items()}


@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.body, dict):
        if case.meta.generation.mode.is_positive:
            meet_unwritten_rules(case.operation.path, case.body)
        shorten_answer(case.operation.path, case.body)
