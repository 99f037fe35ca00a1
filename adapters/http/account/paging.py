"""Pages in iPaaS.com's style: pageNumber and pageSize in the query, X-Pagination in the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web

from adapters.http.routes import json_response
from projections.reading import Page


class PageQuery(msgspec.Struct, rename="camel"):
    """Pages are numbered from 1; a page holds at most 100 items."""

    page_number: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100

    def page(self) -> Page:
        return Page(self.page_number, self.page_size)


def paged(items: Sequence[Any], total: int, page: Page) -> web.Response:
    pages = max(1, -(-total // page.size))
    header = {
        "total_Count": total,
        "page_Size": page.size,
        "current_Page": page.number,
        "total_Pages": pages,
        "previous_Page": "Yes" if page.number > 1 else "No",
        "next_Page": "Yes" if page.number < pages else "No",
    }
    return json_response(
        items,
        headers={
            "X-Pagination": msgspec.json.encode(header).decode(),
            "Access-Control-Expose-Headers": "X-Pagination",
        },
    )


def cut(items: Sequence[Any], page: Page) -> Sequence[Any]:
    """The page of a list that is whole in memory."""
    return items[page.offset : page.offset + page.size]
