"""Mapping files: what is refused at start, with file, key and reason, and what ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.mapping.errors import MappingError
from app.mapping.load import editor_schema, load_mapping, parse_mapping, read_mapping, shipped_directories

HEAD = 'format = 1\nname = "t"\n'
NAME = '[[user]]\nscim = "userName"\nfield = "username"\n'
MAILS = '[[user]]\nscim = "emails"\nfield = "email"\n'
FULL = HEAD + NAME + MAILS


ROLE = '[[roles]]\nid = "{}"\ndisplayName = "R"\n'


def rule(text: str) -> str:
    return f"{FULL}[[user]]\n{text}\n"


def schema(*attributes: str, urn: str = "urn:x:2.0:Badge") -> str:
    """A file with one extension schema of these attributes."""
    listed = "".join(f"[[schemas.attributes]]\n{a}\n" for a in attributes)
    return f'{FULL}[[schemas]]\nid = "{urn}"\nname = "B"\n{listed or "attributes = []"}\n'


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("format = ", "", "not TOML"),
        (NAME + MAILS, "", "missing required field `format`"),
        ('format = 2\nname = "t"\n' + NAME + MAILS, "format", "2"),
        ("format = 1\n" + NAME + MAILS, "", "`name`"),
        (HEAD, "", "`user`"),
        (HEAD + NAME, "user", "a rule for emails is needed"),
        (HEAD + MAILS, "user", "a rule for userName is needed"),
        ("nonsense = 1\n" + FULL, "", "nonsense"),
        (rule('scim = "title"\ncustom = "t"\nfeild = "x"'), "user[2]", "feild"),
        (rule('scim = "title"'), "user[2] (title)", "exactly one of field, custom and template"),
        (rule('scim = "title"\ncustom = "t"\nfield = "phone"'), "user[2] (title)", "exactly one"),
        (rule('scim = "nobody"\ncustom = "t"'), "user[2] (nobody)", "in no schema"),
        (rule('scim = "name.nobody"\ncustom = "t"'), "user[2] (name.nobody)", "in no schema"),
        (rule('scim = "urn:nobody:1.0:x"\ncustom = "t"'), "user[2]", "in no schema"),
        *(
            (rule(f'scim = "{name}"\ncustom = "t"'), f"user[2] ({name})", "meaning of its own")
            for name in ("id", "active", "password", "groups", "meta", "schemas")
        ),
        (rule('scim = "userName"\ncustom = "t"'), "user[2] (userName)", "already has a rule"),
        (rule('scim = "USERNAME"\ncustom = "t"'), "user[2] (USERNAME)", "already has a rule"),
        (rule('scim = "title"\nfield = "username"'), "user[2] (title)", "already written by userName"),
        (
            rule('scim = "title"\ncustom = "t"\n[[user]]\nscim = "nickName"\ncustom = "t"'),
            "user[3] (nickName)",
            "already written by title",
        ),
        (
            rule('scim = "title"\ncustom = "t"\n[[user]]\nscim = "nickName"\ncustom = "t.x"'),
            "user[3] (nickName)",
            "title",
        ),
        (rule('scim = "title"\nfield = "nobody"'), "user[2] (title)", "no field nobody"),
        (rule('scim = "title"\nfield = "ou_path"'), "user[2] (title)", "direction must be read"),
        (rule('scim = "title"\nfield = "id"'), "user[2] (title)", "direction must be read"),
        (rule('scim = "title"\nfield = "phone"\nfallback = "nobody"'), "user[2] (title)", "no field nobody"),
        (rule('scim = "title"\ncustom = "scim.x"'), "user[2] (title)", "the bridge's own"),
        (rule('scim = "title"\ncustom = "scim"'), "user[2] (title)", "the bridge's own"),
        *(
            (rule(f'scim = "title"\ncustom = "{c}"'), "user[2] (title)", "key")
            for c in ("", ".", "a.", ".a", "a..b")
        ),
        (rule('scim = "title"\ntemplate = "{nobody}"'), "user[2] (title)", "nobody"),
        (rule('scim = "name"\nfield = "phone"'), "user[2] (name)", "sub-attribute"),
        (rule('scim = "title"\ncustom = "t"\ndirection = "up"'), "user[2].direction", "up"),
        (rule('scim = "title"\ncustom = "t"\nclear = "x"'), "user[2].clear", "x"),
        (
            rule('scim = "title"\ncustom = "t"\ntransform = [{ kind = "nobody" }]'),
            "user[2].transform[0]",
            "nobody",
        ),
        (
            rule('scim = "title"\ncustom = "t"\ntransform = [{ kind = "template", text = "x" }]'),
            "user[2].transform[0]",
            "exactly once",
        ),
        (
            rule(
                'scim = "title"\ncustom = "t"\ntransform = [{ kind = "lookup", table = { a = "1", b = "1" }}]'
            ),
            "user[2].transform[0]",
            "only once",
        ),
        (
            rule('scim = "phoneNumbers"\nfield = "phone"\nderive_from = "nobody"'),
            "user[2] (phoneNumbers)",
            "in no schema",
        ),
        (FULL + "[platform]\nper_page_max = 0\n", "platform.per_page_max", ">= 1"),
        (FULL + '[platform]\nsearch = ["nobody"]\n', "platform.search", "nobody"),
        (FULL + '[platform.sort]\nnobody = "x"\n', "platform.sort", "nobody"),
        (FULL + '[platform.filters]\nnobody = "x"\n', "platform.filters", "nobody"),
        (FULL + '[platform.narrows]\nnobody = "x"\n', "platform.narrows", "nobody"),
        (
            FULL + '[platform.narrows]\ntitle = "x"\n[platform.filters]\ntitle = "y"\n',
            "platform.narrows",
            "already among filters: title",
        ),
        (FULL + '[platform]\nlist_fields = ["username"]\n', "platform.list_fields", "username"),
        (FULL + "[platform]\nnobody = 1\n", "platform", "nobody"),
        (FULL + '[status]\ndisable_to = "LOCKED"\n', "status", "disable_to"),
        (FULL + '[status]\nenable_to = "DISABLED"\n', "status", "enable_to"),
        (FULL + '[[schemas]]\nid = "badge"\nname = "B"\nattributes = []\n', "schemas[0].id", "URN"),
        (
            FULL + '[[schemas]]\nid = "urn:ietf:params:scim:x"\nname = "B"\nattributes = []\n',
            "schemas[0].id",
            "of one's own",
        ),
        *(
            (schema(urn=urn), "schemas[0].id", "already")
            for urn in (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:USER",
                "urn:scim-bridge:schemas:2.0:PlatformUser",
                "urn:ietf:params:scim:schemas:core:2.0:User",
            )
        ),
        *((schema(urn=urn), "schemas[0].id", "URN") for urn in ("urn:", "urn:x", "urn:x:a b", "urn:x:a/b")),
        (
            schema() + '[[schemas]]\nid = "URN:X:2.0:BADGE"\nname = "C"\nattributes = []\n',
            "schemas[1].id",
            "already",
        ),
        (schema('name = "a"\nmultivalued = true'), "schemas[0].attributes[0]", "multivalued"),
        (schema('name = "a"\ntype = "text"'), "schemas[0].attributes[0].type", "text"),
        *(
            (schema(f'name = "{name}"'), f"schemas[0].attributes[0] ({name})", "a name is")
            for name in ("", "1a", "a.b", "a b", "$ref", "a[")
        ),
        (schema('name = "a"', 'name = "A"'), "schemas[0].attributes[1] (A)", "already"),
        (schema('name = "a"\ntype = "complex"'), "schemas[0].attributes[0] (a)", "needs them"),
        (
            schema('name = "a"\nsubAttributes = [{ name = "b" }]'),
            "schemas[0].attributes[0] (a)",
            "belong to type complex",
        ),
        (
            schema(
                'name = "a"\ntype = "complex"\n'
                'subAttributes = [{ name = "b", type = "complex", subAttributes = [{ name = "c" }] }]'
            ),
            "schemas[0].attributes[0] (a).subAttributes[0] (b)",
            "cannot be complex",
        ),
        (schema('name = "a"\nmutability = "writeOnly"'), "schemas[0].attributes[0] (a)", "never"),
        *(
            (schema(f'name = "a"\nuniqueness = "server"\n{more}'), "schemas[0].attributes[0] (a)", reason)
            for more, reason in (
                ("multiValued = true", "single values only"),
                ('type = "complex"\nsubAttributes = [{ name = "b" }]', "single values only"),
                ('returned = "never"', "cannot be searched"),
            )
        ),
        (
            schema('name = "a"\nmutability = "readOnly"')
            + '[[user]]\nscim = "urn:x:2.0:Badge:a"\ncustom = "t"\n',
            "user[2] (urn:x:2.0:Badge:a)",
            "direction must be read",
        ),
        *((FULL + ROLE.format(bad), "roles[0].id", "an id is") for bad in ("", "a/b", "..", "a b", "é")),
        (FULL + ROLE.format("a") * 2, "roles[1].id", "a is listed already"),
        (FULL + '[[roles]]\nid = "a"\n', "roles[0]", "displayName"),
        (FULL + ROLE.format("a") + 'type = "x"\n', "roles[0]", "type"),
        ('closed = ["roles"]\n' + FULL, "closed", "no list of roles"),
        ('closed = ["groups"]\n' + FULL, "closed[0]", "groups"),
    ],
)
def test_a_bad_file_is_refused_with_file_key_and_reason(text: str, key: str, reason: str) -> None:
    with pytest.raises(MappingError) as caught:
        parse_mapping(text, "mine.toml")
    assert caught.value.file == "mine.toml"
    assert caught.value.key.startswith(key)
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"mine.toml: {caught.value.key}: " if key else "mine.toml: ")


def test_transforms_that_a_field_cannot_hold_are_refused() -> None:
    """A field is text: a list, a boolean or a number would be refused by the platform at every write."""
    for made in (
        '{ kind = "split" }',
        '{ kind = "constant", value = true }',
        '{ kind = "constant", value = 1 }',
    ):
        with pytest.raises(MappingError, match="displayName"):
            parse_mapping(
                rule(f'scim = "displayName"\nfield = "display_name"\ntransform = [{made}]'), "t.toml"
            )


@pytest.mark.parametrize("name", ["", "../default", "a/b", "x" * 65, "def ault", "..", "default\n"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(MappingError):
        load_mapping(name)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="no such mapping file"):
        load_mapping("nobody")
    with pytest.raises(MappingError, match="cannot be read"):
        load_mapping(str(tmp_path / "nobody.toml"))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(MappingError, match="cannot be read"):
        read_mapping(tmp_path / "latin.toml")


def test_ones_own_directory_comes_first(tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text(FULL)
    assert load_mapping("default", tmp_path).file.name == "t"
    assert load_mapping("default").file.name == "default"


def test_every_shipped_mapping_loads() -> None:
    shipped = [f for d in shipped_directories() if d.is_dir() for f in d.glob("*.toml")]
    assert "default.toml" in {f.name for f in shipped}
    for file in shipped:
        assert read_mapping(file).file.name == file.stem


def test_a_smallest_file() -> None:
    mapping = parse_mapping(FULL, "t.toml")
    assert mapping.owned_keys == {"scim"}


def test_an_extension_in_the_branch_that_entra_proposes() -> None:
    urn = "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User"
    mapping = parse_mapping(schema('name = "tag"', urn=urn), "t.toml")
    assert mapping.model.attribute("tag", urn) is not None


def test_the_editor_schema_knows_every_key() -> None:
    text = str(editor_schema())
    for key in ("per_page_max", "derive_from", "merges_custom_attributes", "disable_to", "boolean-words"):
        assert key in text


def test_the_platform_extension_can_be_made_writable() -> None:
    urn = "urn:scim-bridge:schemas:2.0:PlatformUser"
    mapping = parse_mapping(rule(f'scim = "{urn}:ouId"\nfield = "ou_id"'), "t.toml")
    found = mapping.model.attribute("ouId", urn)
    assert found is not None
    assert found.mutability == "readWrite"
    other = parse_mapping(FULL, "t.toml").model.attribute("ouId", urn)
    assert other is not None
    assert other.mutability == "readOnly"
