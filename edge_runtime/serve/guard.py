"""Who may ask, and what every answer carries: host names, the token, and headers that keep browsers strict."""

import hashlib
import hmac
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """In front of every route. token: what a caller must know, None where only this computer can ask."""

    def __init__(self, app: ASGIApp, host: str, port: int, token: str | None) -> None:
        self.app, self.host, self.token = app, host.lower(), token
        # Cookies don't know ports: two screens on one computer must not log each other out.
        self.cookie = f"edge_detect_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        by_link = self._by_link(scope)

        async def send_strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(HEADERS)
                answer.setdefault("Cache-Control", "no-store")
                if by_link:
                    answer.append("Set-Cookie", f"{self.cookie}={self._ticket}; HttpOnly; SameSite=Strict; Path=/")
            await send(message)

        refusal = self._refusal(headers, by_link)
        await (refusal or self.app)(scope, receive, send_strict)

    def _refusal(self, headers: Headers, by_link: bool) -> PlainTextResponse | None:
        if self.token is None:
            # A page elsewhere may let its own name point to this computer (DNS rebinding): it then asks with that name.
            if not self._is_ours(headers.get("host", "")):
                return PlainTextResponse("This screen answers to the name of this computer only.", 421)
            return None
        if by_link or self._by_header(headers) or self._by_cookie(headers):
            return None
        return PlainTextResponse(
            "This screen needs its token. Open it once with ?token=... at the end of the address, or send "
            "Authorization: Bearer ...",
            401,
            {"WWW-Authenticate": 'Bearer realm="edge-detect"'},
        )

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in ("localhost", self.host) or is_loopback(name)

    @property
    def _ticket(self) -> str:
        """What the cookie holds: not the token itself, and of harmless letters whatever the token is made of."""
        return hashlib.sha256(f"edge-detect {self.token}".encode()).hexdigest()

    def _by_link(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return self.token is not None and any(same(one, self.token) for one in given)

    def _by_header(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and same(given.strip(), self.token or "")

    def _by_cookie(self, headers: Headers) -> bool:
        return same(cookie_parser(headers.get("cookie", "")).get(self.cookie, ""), self._ticket)


def same(given: str, wanted: str) -> bool:
    """Takes the same time however many characters are right."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def same_origin(headers: Headers) -> bool:
    """Whether a page of ours asks. Scripts that send the token in a header can't be driven by a foreign page."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("authorization", "").lower().startswith("bearer ")
    return urlsplit(origin).netloc == headers.get("host")
