"""Custom objects off request bodies: JSON or YAML, pruned, with what a strict reader minds.

`call.Call.body` comes here for custom resources. Order and texts are upstream's: what came twice, what metadata does
not know, then what the schema does not know (apiextensions-apiserver `pkg/apiserver` schemaCoercingDecoder).
"""

from __future__ import annotations

from kijabi.api import codec, yamltext
from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.apiserver import body
from kijabi.apiserver.body import Expected
from kijabi.apiserver.negotiate import JSON, PROTOBUF, YAML, body_type, unsupported
from kijabi.apiserver.options import Validation
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Request


def decode(request: Request, resource: Resource, directive: Validation, warnings: list[str]) -> Custom:
    """The object in a body. directive is fieldValidation: what it finds becomes warnings or a BadRequest.

    Raises BadRequest, UnsupportedMediaType.
    """
    expected = Expected(resource.kind, resource.api_version)
    kind, data = body_type(request), request.body
    problems: list[str] = []
    if kind == PROTOBUF:
        raise unsupported((JSON, YAML))
    if kind == YAML:
        try:
            data, problems = yamltext.to_json(data)
        except BadRequest as problem:
            raise body.undecodable(data, expected, problem.message) from None
    try:
        obj, found = codec.decode_strict(Custom, data)
        problems += found
        if obj.kind == resource.kind and resource.prune is not None:
            problems += resource.prune(obj)
    except BadRequest as problem:
        raise body.undecodable(data, expected, problem.message) from None
    if not obj.kind:
        text = request.body.decode(errors="replace")
        raise body.unrecognized(request.body, expected, f"Object 'Kind' is missing in '{text}'")
    body.tell(problems, expected, directive, warnings)
    if obj.apiVersion != resource.api_version:
        raise BadRequest(
            f"the API version in the data ({obj.apiVersion}) does not match the expected API version "
            f"({resource.api_version})"
        )
    return obj
