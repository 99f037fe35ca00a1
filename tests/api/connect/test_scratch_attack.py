from __future__ import annotations
import json
from tests.api.grants.speaking import Grants
from tests.api.connect.conftest import link, SHOP
from tests.api.staging import PUBLIC_URL
from tests.api.raw_http import send_raw, request_bytes


async def test_a(api, wired):
    g = Grants(api)
    out = []
    r = await g.call("POST", "/v1/customers", {"email": "a@b\n"})
    out.append(("email nl", r.status, r.text[:200]))
    c = await g.made_customer(external_id="cust")
    base = f"/v1/customers/{c}/connections"
    r = await g.call("POST", base, {"provider": "slack\n", "name": "n", "credentials": {}})
    out.append(("provider nl", r.status, r.text[:200]))
    for i, exp in enumerate(
        [
            "0001-01-01",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-14:00",
            0,
            -1,
            253402300799,
            253402300799.9,
            1e308,
            "1969-01-01",
            True,
            [],
            "",
        ]
    ):
        r = await g.call(
            "POST",
            base,
            {
                "provider": f"p{i}",
                "name": "n",
                "credentials": {"access_token": "a", "refresh_token": "r", "expires_at": exp},
            },
        )
        out.append(("exp", exp, r.status, r.text[:160]))
        if r.status == 201:
            rt = await g.made_instance(f"i{i}")
            await g.made_grant(r.json, rt.id)
            f = await rt.fetch(f"p{i}")
            out.append(("  fetch", f.status, f.text[:160]))
    r = await g.call("GET", base)
    out.append(("list", r.status, r.text[:100]))
    for depth in (100, 300, 500, 700, 800, 900, 920, 940, 950, 960, 970, 980, 985, 990, 995, 1000, 1100, 5000):
        raw = (
            '{"provider":"d%d","name":"n","auth_type":"api_key","credentials":{"a":' % depth
            + "[" * depth
            + "]" * depth
            + "}}"
        ).encode()
        r = await g.call("POST", base, raw=raw)
        s = [depth, r.status, r.text[:80] if r.status != 201 else ""]
        if r.status == 201:
            rt = await g.made_instance(f"d{depth}")
            await g.made_grant(r.json, rt.id)
            f = await rt.fetch(f"d{depth}")
            s.append(f.status)
        out.append(("depth", *s))
    for since in [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59.999999Z",
        "2026-01-01T00:00:00",
        "-infinity",
    ]:
        r = await api.manage("POST", f"{api.managed_project}/Deliveries/Recover", {"since": since})
        out.append(("recover", since, r.status, r.text[:100]))
    for fl in ("1e999", "-1e999", "1e-999", "NaN", "123456789012345678901234567890", "-0", "1.7976931348623157e309"):
        raw = (
            '{"provider":"f%s","name":"n","auth_type":"api_key","credentials":{"a":%s}}'
            % (fl.lower().replace("+", ""), fl)
        ).encode()
        r = await g.call("POST", base, raw=raw)
        out.append(("float", fl, r.status, r.text[:120]))
    for raw in (
        b'{"provider":"s1","name":"n","credentials":{"a":"\\ud800"}}',
        b'{"provider":"s2","name":"\\ud83d","credentials":{}}',
        b'{"provider":"s3","name":"n","credentials":{"\\u0000":1}}',
        b'{"provider":"s4","name":"\\u202e\\u0007","credentials":{}}',
        b'{"provider":"s5","name":"n","credentials":{"a":1,"a":2}}',
        b"\xff",
        b"[]",
        b"null",
        b'"x"',
    ):
        r = await g.call("POST", base, raw=raw)
        out.append(("raw", raw, r.status, r.text[:120]))
    for o in out:
        print(*o)


async def test_headers(api):
    c = "/v1/customers"
    tok = api.plan.project_token
    for h in (
        ["Authorization: Bearer " + tok, "X-Project-Id: \xff"],
        ["X-Api-Key: " + tok],
        ["X-Api-Key: \xff"],
        ["X-Api-Key: " + tok, "X-Api-Key: x"],
        ["X-Api-Key: " + tok, "X-Project-Id: "],
        ["X-Api-Key: " + tok, "X-Project-Id: " + str(api.plan.project_id).upper()],
        ["X-Api-Key: " + tok, "Idempotency-Key: \xe9"],
        ["X-Api-Key: " + tok, "Content-Type: \xff\xfe; charset=x"],
        ["X-Api-Key: " + tok, "Content-Encoding: gzip"],
        ["X-Api-Key: " + tok, "Cookie: \xff=\xfe; causeway=\xff"],
    ):
        for m, b in (("GET", b""), ("POST", b'{"company_name":"x"}')):
            lines = ["Host: localhost", "Connection: close", *h]
            if b:
                lines.append(f"Content-Length: {len(b)}")
            req = (f"{m} {c} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + b
            a = await send_raw(api.client, req)
            print(m, [x.replace(tok, "TOK") for x in h], a.status, a.body[:120])


async def test_forms(api, person):
    n = [0]
    good = b"field-region=eu&field-email=a%40b.c&field-token=x"
    CT = "Content-Type: application/x-www-form-urlencoded"

    async def go(body, *h, ct=CT):
        n[0] += 1
        url = (await link(api, f"eve{n[0]}", "form", link=True)).replace(PUBLIC_URL, "")
        lines = ["Host: localhost", "Connection: close", ct, f"Content-Length: {len(body)}", *h]
        a = await send_raw(
            api.client,
            (f"POST {url} HTTP/1.1\r\n" + "\r\n".join(x for x in lines if x) + "\r\n\r\n").encode("latin-1") + body,
        )
        print(body[:60], h, ct, a.status, a.header("Content-Type"), (a.body[a.body.find(b'<p class="lead"') :][:120]))

    for b in (
        b"field-region=eu&field-region=us",
        b"field-region=%00",
        b"field-region=%ff",
        b"field-region=%ED%A0%80",
        b"field-%00=1",
        b"field-=1",
        b"field-internal=x&" + good,
        b"field-host=javascript:alert(1)&" + good,
        b"field-region=own&field-host=javascript:alert(1)&field-email=a%40b.c&field-token=x",
        b"field-nope=1&" + good,
        b"proof=%ff",
        b"proof=\xc3\xa9",
        b"x=1",
        b"&&&",
        b"=",
        b"field-region",
        b"field-token=" + b"x" * 30000,
        b"&".join(b"field-%d=1" % i for i in range(101)),
        b"field-note=" + b"%0d%0aX:1&" + good.replace(b"token=x", b"token="),
        b"field-email=<script>&field-region=eu&field-token=",
    ):
        await go(b)
    for ct in (
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: application/json",
        "",
        "Content-Type: \xff",
        "Content-Type: application/x-www-form-urlencoded; charset=utf-16",
        "Content-Type: application/x-www-form-urlencoded; charset=\xff",
    ):
        await go(b"field-region=", ct=ct)
    await go(b"field-region=", "Origin: https://evil.example")
    await go(b"field-region=", "Sec-Fetch-Site: cross-site")
    await go(b"field-region=", "Origin: \xff")
    await go(b"x" * (2 << 20))
    await go(b"field-region=eu", "Content-Encoding: gzip")
    for q in (
        "state=%ff",
        "state=cwo_" + "A" * 86,
        "state=a&state=b",
        "state=a&foo=1&foo=2",
        "error_description=%fc&state=x",
        "state=cwo_" + "A" * 86 + "&error=%3Cscript%3E",
        "state=%00",
        "x" * 9000,
    ):
        for p in ("installation", str(api.plan.project_id), "nope", "%2e%2e", "%ff"):
            a = await send_raw(api.client, request_bytes("GET", f"/platform/{p}/oauth?{q}", ""))
            print(p[:12], q[:40], a.status, a.header("Content-Type"))
            assert a.status < 500
