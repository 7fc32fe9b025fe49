"""The paths of a server, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from did_tf.inference import outputs
from did_tf.serving import metrics, uploads
from did_tf.serving.answers import FORMS, NPY, chosen
from did_tf.serving.refusals import Refused
from did_tf.serving.service import Service

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""{path: (file of `PAGE`, its type)}: no other file can be asked for."""
POLICY = "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def application(service: Service) -> ASGIApp:
    """The application of a service: page, predictions, what the model is, and whether all is well."""
    routes = [Route(path, _file(*file)) for path, file in FILES.items()]
    routes += [Route("/predict", _predict, methods=["POST"]), Route("/model", _model)]
    routes += [Route("/health", _health), Route("/ready", _ready), Route("/metrics", _metrics)]
    refusing = {Refused: _refused, HTTPException: _no_such, ClientDisconnect: _gone, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=refusing)
    app.router.redirect_slashes = False
    app.state.service = service
    return _Counted(app, service.metrics, {route.path for route in routes})


async def _predict(request: Request) -> Response:
    service: Service = request.app.state.service
    form = chosen(request.query_params.get("format"), request.headers.get("accept", ""))
    with service.admitted():
        async with uploads.received(request, service.folder, service.limits) as path:
            with service.metrics.seconds.time() if form.sees else contextlib.nullcontext():
                body = await service.answer(path, form, request.is_disconnected)
        return await _packed(Response(body, media_type=form.media, headers=SECURE), request)


async def _model(request: Request) -> Response:
    service: Service = request.app.state.service
    spec = service.model.spec
    *classes, void = ({"id": id_, "name": name, "color": list(color)} for id_, name, color in outputs.legend(spec))
    about = {
        "model": service.model.identity,
        "protocol": service.model.protocol,
        "classes": classes,
        "void": void,
        "bands": spec.bands,
        "band_names": list(spec.band_names),
        "dtype": spec.dtype,
        "nodata": None if spec.nodata is None else str(spec.nodata),
        "formats": {name: form.words for name, form in FORMS.items()},
        "limits": {"max_mb": service.limits.max_mb, "max_pixels": service.limits.max_pixels},
    }
    return JSONResponse(about, headers=SECURE)


async def _health(request: Request) -> Response:
    return JSONResponse({"alive": True})


async def _ready(request: Request) -> Response:
    ready = request.app.state.service.ready
    return JSONResponse({"ready": ready}, 200 if ready else 503)


async def _metrics(request: Request) -> Response:
    return Response(request.app.state.service.metrics.text(), media_type=metrics.MEDIA)


def _file(name: str, media: str) -> Callable[[Request], Awaitable[Response]]:
    """Endpoint of a file, which is read now."""
    content = (PAGE / name).read_bytes()
    headers = {"Content-Security-Policy": POLICY, **SECURE}

    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=media, headers=headers)

    return endpoint


async def _packed(response: Response, request: Request) -> Response:
    """Bare numbers of classes become much smaller; pictures are packed already. Others are answered meanwhile."""
    if response.media_type == NPY and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = await asyncio.to_thread(gzip.compress, bytes(response.body), 1)
        response.headers.update({"Content-Encoding": "gzip", "Content-Length": str(len(response.body))})
    return response


async def _refused(request: Request, error: Any) -> Response:
    return _told(error.status, error.message, error.headers)


async def _no_such(request: Request, error: Any) -> Response:
    if error.status_code == 405:
        told = f"no {request.method:.20} here: use {(error.headers or {}).get('Allow', 'POST')}"
        return _told(405, told, error.headers)
    return _told(error.status_code, "nothing is here: see /, /predict, /model, /health, /ready and /metrics")


async def _gone(request: Request, error: Any) -> Response:
    return _told(499, "the client is gone")


async def _fault(request: Request, error: Exception) -> Response:
    return await _refused(request, request.app.state.service.fault(error))


def _told(status, message, headers=None):
    return JSONResponse({"error": message}, status, headers={**SECURE, **(headers or {})})


class _Counted:
    """Counts the answers of an application, by `paths` that there are."""

    def __init__(self, app: ASGIApp, kept: metrics.Metrics, paths: set[str]) -> None:
        self._app, self._kept, self._paths = app, kept, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in self._paths else "other"
                self._kept.requests.labels(path, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counting)
