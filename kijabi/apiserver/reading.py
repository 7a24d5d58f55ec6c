"""The read path: get, list and watch, answered from the watch caches with the resourceVersion rules of Kubernetes.

`server.py` calls a verb here after authorisation. The caches are exact (`Caches.fresh`), so the most recent state is
always at hand; only later pages of a paged list and lists at an exact resourceVersion go to the store's history.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kijabi.api import codec, status, validation
from kijabi.apiserver import body as bodies
from kijabi.apiserver import continuing, framing, options, table
from kijabi.apiserver.attributes import Answer
from kijabi.apiserver.call import Call, encoded
from kijabi.apiserver.continuing import ContinueExpired
from kijabi.apiserver.forms import Form, pick
from kijabi.apiserver.listing import Found, Listing
from kijabi.apiserver.options import ListOptions
from kijabi.apiserver.routes import Served
from kijabi.apiserver.turns import Turns
from kijabi.apiserver.watch import MIN_TIMEOUT, Selection, WatchAnswer, Watcher
from kijabi.apiserver.watchcache import Cache, Caches, Item
from kijabi.base.errors import ApiError, BadRequest, Expired, MethodNotAllowed, NotAcceptable, Timeout
from kijabi.client.transport import Response
from kijabi.store.interface import Compacted, Entry, FutureRevision, Store

HISTORY_PAGE = 5_000  # entries read at once from the store's history: each time the history is walked
VIEW_PAGE = 100  # of them that are converted at once

_LIST_EXPIRED = "The resourceVersion for the provided list is too old."


class Past(NamedTuple):
    """What a list chooses from: the candidates, and how many they are if the list has a limit and no selector."""

    found: Found
    total: int


class Reading:
    """Gets, lists and watches of any resource."""

    def __init__(self, store: Store, caches: Caches) -> None:
        self.store = store
        self.caches = caches
        self.turns = Turns()
        self.least_watch = MIN_TIMEOUT  # seconds of a watch that does not say how long
        self.listing = Listing(self.turns)

    async def get(self, call: Call, served: Served, key: str) -> Response:
        """One object. Raises NotFound, or Timeout for a resourceVersion that has not been reached."""
        cache, request = served.cache, call.request
        assert cache is not None
        await self.caches.fresh()
        if request.query:
            self._check_version(options.parse_query_version(request.param("resourceVersion")))
        item = cache.get(key)
        if item is None:
            raise status.not_found(served.resource, call.info.name)
        if served.view is not None:
            item = (await served.view.items((item,)))[0]
        refuse_form(call, served, lists=False)
        form = self._form(call, served)
        return encoded(call.media, form.object(item, item.revision))

    def _form(self, call: Call, served: Served) -> Form:
        include = call.request.param("includeObject")
        if call.media.convert == "Table" and include not in table.INCLUDE:
            text = "must be 'Metadata', 'Object', 'None', or empty"
            error = validation.invalid("includeObject", include, text)
            raise status.invalid("TableOptions.meta.k8s.io", "", [error])
        return pick(served.resource, served.whole, call.media, include)

    def _check_version(self, version: int | None) -> None:
        if version is not None and version > self.caches.revision:
            raise status.too_large_version(version, self.caches.revision)

    # List

    async def list(self, call: Call, served: Served) -> Answer:
        """A list, or a page of one. Raises Expired, BadRequest, Invalid, Timeout, TooManyRequests."""
        form, found, meta = await self.select(call, served)
        return await self.listing.answer(call, form, found, meta)

    async def select(self, call: Call, served: Served) -> tuple[Form, Found, dict[str, Any]]:
        """What a list gives: its form, its items, its metadata."""
        cache = served.shown
        assert cache is not None
        wanted = options.list_options(call.request, call.info)
        refuse_form(call, served, lists=True)
        form = self._form(call, served)
        selection = Selection(served.resource, cache, namespace_of(call, served), wanted.labels, wanted.fields)
        if wanted.version == 0:
            wanted.limit = 0  # "whatever there is" is given whole
        current = await self._level(served)
        revision, start = self._where(wanted)
        if not revision:
            count = cache.count(selection.namespace, start) if wanted.limit and selection.everything else 0
            past = Past(Found(selection.of(cache, start), selection.test), count)
        else:
            past = await self._past(served, selection, wanted, revision, start)
        found, meta = await self._page(past, selection, wanted, revision or current)
        return form, found, meta

    async def _level(self, served: Served) -> int:
        """Wait until everything that was acknowledged can be read; the revision that has been reached."""
        revision = await self.caches.fresh()
        return revision if served.view is None else await served.view.open()

    def _where(self, wanted: ListOptions) -> tuple[int, str]:
        """(exact revision or 0 for the newest, first key) of a list."""
        if wanted.token:
            revision, start = continuing.parse(wanted.token)
            if wanted.version or wanted.unreadable:
                raise BadRequest("specifying resource version is not allowed when using continue")
            self._check_version(revision)
            return max(0, revision), start
        if wanted.unreadable:
            raise BadRequest(f"invalid resource version: {wanted.unreadable}")
        self._check_version(wanted.version)
        if wanted.version and wanted.match == "Exact":
            return wanted.version, ""
        if wanted.version and wanted.limit and not wanted.match:
            return wanted.version, ""  # the older meaning of version and limit: exactly this one
        return 0, ""

    async def _page(
        self, past: Past, selection: Selection, wanted: ListOptions, revision: int
    ) -> tuple[Found, dict[str, Any]]:
        """The page that is wanted of what there is, and the list's metadata."""
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if not wanted.limit:
            return past.found, meta
        items = await self.listing.gather(past.found, wanted.limit + 1)
        if len(items) > wanted.limit:
            items.pop()
            meta["continue"] = continuing.make(revision, items[-1].key + "\0")
            if selection.everything:
                meta["remainingItemCount"] = past.total - len(items)
        return Found(iter(items)), meta

    async def _past(self, served: Served, selection: Selection, wanted: ListOptions, revision: int, start: str) -> Past:
        """The candidates of a list at a revision that has been: from the cache's recent past or the store's history.

        The cache may know a revision that is compacted away; but then Kubernetes has the client begin anew.
        """
        cache = served.shown
        assert cache is not None
        try:
            if self.store.compacted > revision:
                raise Compacted(self.store.compacted)
            if cache.floor <= revision:
                items, count = cache.past(revision, selection.namespace, start)
                return Past(Found(items, selection.matches), count)
            return await self._from_history(served, selection, wanted, revision, start)
        except Compacted:
            if wanted.token:
                raise ContinueExpired(start) from None
            raise Expired(_LIST_EXPIRED) from None
        except FutureRevision as future:
            raise status.too_large_version(revision, future.current) from None

    async def _from_history(
        self, served: Served, selection: Selection, wanted: ListOptions, revision: int, start: str
    ) -> Past:
        """As `_past`, from the store alone. Nothing is decoded before it is needed, but what a view must convert."""
        cache, view = served.cache, served.view
        assert cache is not None
        prefix, scope = cache.prefix, f"{selection.namespace}/" if selection.namespace else ""
        first, end = prefix + max(start, scope), prefix[:-1] + "0"
        if scope:
            end = f"{prefix}{selection.namespace}0"
        enough = wanted.limit + 1 if wanted.limit and selection.everything else 0
        entries: list[Entry] = []
        shown: list[Item] = []
        total, more = 0, True
        while more and not (enough and len(entries) >= enough):
            size = min(enough or HISTORY_PAGE, HISTORY_PAGE)
            page = await self.store.range(first, end, revision=revision, limit=size)
            total, more = total or page.count, page.more
            entries += page.entries
            if page.entries:
                first = page.entries[-1].key + "\0"
            await self.turns.next()
        if view is None:
            return Past(Found((decode_entry(cache, each) for each in entries), selection.matches), total)
        for begin in range(0, len(entries), VIEW_PAGE):
            shown += await view.items([decode_entry(cache, each) for each in entries[begin : begin + VIEW_PAGE]])
            await self.turns.next()
        return Past(Found(iter(shown), selection.matches), total)

    # Watch

    async def watch(self, call: Call, served: Served) -> WatchAnswer:
        """A stream of events from a resourceVersion on, or from the current state.

        Raises BadRequest, Invalid. What else keeps it from beginning is told by an ERROR event: that it is too late for
        the resourceVersion (Expired), or too early (Timeout).
        """
        cache = served.shown
        assert cache is not None
        wanted = options.list_options(call.request, call.info)
        if "watch" not in served.resource.verbs:
            raise MethodNotAllowed(status.method_not_supported(served.resource, "watch").message)
        if wanted.unreadable:
            raise ApiError(wanted.unreadable)
        form = self._form(call, served)
        selection = Selection(served.resource, cache, namespace_of(call, served), wanted.labels, wanted.fields)
        current = await self._level(served)
        progress = served.view or self.caches
        watcher = Watcher(cache, selection, form, lambda: cache.delivery.reached(progress.revision))
        answer = WatchAnswer(watcher=watcher, headers={"Content-Type": framing.content_type(form.media)})
        try:
            self._begin(cache, watcher, wanted, current)
        except (Expired, Timeout) as problem:
            watcher.push(framing.error_event(form.media, status.to_wire(problem)))
            watcher.close()
        if watcher.ended:
            return answer
        watcher.after = max(watcher.after, current)  # it has been told of everything up to here
        cache.attach(watcher)
        watcher.schedule(float(wanted.timeout), wanted.bookmarks, self.least_watch)
        if served.view is not None and served.view.ended:
            watcher.close()
        return answer

    def _begin(self, cache: Cache, watcher: Watcher, wanted: ListOptions, current: int) -> None:
        """Raises Expired, Timeout."""
        if wanted.timeout < 0:
            watcher.close()
        elif wanted.initial_events:
            self._check_version(wanted.version)
            watcher.begin(watcher.selection.of(cache), current, wanted.bookmarks)
        elif wanted.version:
            self._resume(cache, watcher, wanted.version)
        else:
            watcher.seen = current

    def _resume(self, cache: Cache, watcher: Watcher, after: int) -> None:
        """Offer the history since a revision, that point excluded. The revision may be still to come."""
        if after < cache.floor:
            raise Expired(f"too old resource version: {after} ({cache.floor})")
        watcher.seen = after
        for event in cache.history:
            if event.revision > after and watcher.bucket in cache.buckets(event):
                watcher.offer(event)
        watcher.after = after


def refuse_form(call: Call, served: Served, *, lists: bool) -> None:
    """Raises NotAcceptable if the client wants a list's metadata of an object, or an object's of a list."""
    if not call.media.convert.startswith("Partial") or call.media.convert.endswith("List") == lists:
        return
    resource = served.resource
    kind = bodies.Expected(resource.kind, resource.api_version).internal
    what = f"a list (*{kind}List)" if lists else f"not a list (*{kind})"
    raise NotAcceptable(f"you requested {call.media.convert}, but the requested object is {what}")


def namespace_of(call: Call, served: Served) -> str:
    """The namespace that a list is of: none for what has none."""
    return call.info.namespace if served.resource.namespaced else ""


def decode_entry(cache: Cache, entry: Entry) -> Item:
    """An Item from the store's history."""
    obj = codec.decode(cache.cls, entry.value)
    obj.metadata.resourceVersion = str(entry.revision)  # type: ignore[attr-defined]
    own = entry.key[len(cache.prefix) :]
    namespace, _, name = own.rpartition("/")
    return Item(own, namespace, name, obj, entry.value, entry.revision)
