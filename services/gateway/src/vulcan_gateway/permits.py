"""Whether the key of an open stream is still good: said once for each key, seen by all of its streams at once."""

from weakref import WeakValueDictionary

from vulcan_contracts.tenants import ApiKey


class Permit:
    """`valid` until this process hears that the key was revoked; from then on never again."""

    __slots__ = ("__weakref__", "valid")

    def __init__(self, *, valid: bool) -> None:
        self.valid = valid


class Permits:
    """The permits of the keys that have streams open."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, Permit] = WeakValueDictionary()

    def of(self, key_id: str, *, valid: bool) -> Permit:
        """The permit of a key: the one that its other streams have, or one that begins as `valid`."""
        permit = self._known.get(key_id)
        if permit is None:
            self._known[key_id] = permit = Permit(valid=valid)
        return permit

    def changed(self, key_id: str, key: ApiKey | None) -> None:
        """A key was made or changed, or is no more."""
        if key is None and (permit := self._known.pop(key_id, None)) is not None:
            permit.valid = False
