"""The services of a simulated MiFlora and the computation of its login."""

from proxy_listener.simulator import miflora_table as table


def test_rc4_and_the_mixes():
    """RC4 as its published vectors, also for the 12-byte keys that the library refuses; mixA and mixB by hand."""
    assert table.rc4(b"Key" * 4, b"Plaintext") == bytes.fromhex("bbf316e8d940af0ad3")
    assert table.mixes(0xC47C8D6A3E7A, 0x0098) == (
        bytes.fromhex("7a6ac498987cc43e"),
        bytes.fromhex("7a6ac4007c7ac498"),
    )


def test_every_handle_has_one_uuid():
    """No two characteristics or descriptors share a handle, and an unknown handle has none."""
    handles = [c.handle for service in table.SERVICES for c in service.characteristics]
    handles += [d.handle for service in table.SERVICES for c in service.characteristics for d in c.descriptors]
    assert len(handles) == len(set(handles))
    assert None not in map(table.uuid_at, handles)
    assert table.uuid_at(0xFFFF) is None


def test_moved_services_keep_all_but_their_handles():
    """Services, characteristics and descriptors have their handles moved by the same number."""
    for before, after in zip(table.SERVICES, table.moved(7), strict=True):
        assert (after.uuid, after.handle) == (before.uuid, before.handle + 7)
        for old, new in zip(before.characteristics, after.characteristics, strict=True):
            assert (new.uuid, new.handle, new.properties) == (old.uuid, old.handle + 7, old.properties)
            assert [d.handle for d in new.descriptors] == [d.handle + 7 for d in old.descriptors]
