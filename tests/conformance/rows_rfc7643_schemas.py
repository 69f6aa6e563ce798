"""RFC 7643 §4 to §8: users, groups and the discovery documents; §8 has examples only."""

from __future__ import annotations

from rows import Row, apart, held

_AS_SENT = (
    "Values are kept as they were sent: Entra compares what it reads with what it wrote, and writes anew."
)

ROWS: list[Row] = [
    held("4.1.1", "MUST", "A user has a userName.", "rfc_resources.a_user_name_is_required"),
    held(
        "4.1.1",
        "MUST",
        "No two users have the same.",
        "rfc_writes.duplicate_is_409",
        "rfc_writes.repeated_posts_make_one_user",
        "half_done.twenty_creations_of_one_name",
    ),
    held(
        "4.1.1",
        "REQUIRED",
        "It is required.",
        "rfc_resources.a_user_name_is_required",
        "rfc_patches.operations_that_cannot_be_done",
    ),
    held(
        "4.1.1",
        "SHOULD",
        "name.formatted and the parts of the name say the same.",
        "rfc_resources.the_formatted_name_follows_its_parts",
    ),
    apart(
        "4.1.1",
        "SHOULD",
        "displayName is the full name, as it is mostly shown.",
        "It is what the platform shows, or what the client wrote there.",
    ),
    apart(
        "4.1.1",
        "SHOULD NOT",
        "nickName is no user name.",
        "It is the client's to say; the bridge makes none.",
    ),
    held(
        "4.1.1",
        "SHALL NOT",
        "A password is never answered, neither clear nor hashed.",
        "rfc_writes.password_never_returned",
    ),
    held("4.1.1", "SHOULD", "One that is held is hashed.", "rfc_resources.a_password_is_kept_nowhere"),
    apart(
        "4.1.1",
        "SHOULD",
        "A new one is prepared, checked and encrypted.",
        "The platform does so: the bridge hands it on in the same request, or drops it.",
    ),
    apart(
        "4.1.1",
        "MUST",
        "It is handed on over a secured connection.",
        "It is as secure as `SCIM_BRIDGE_PLATFORM_URL`, which is the operator's to set (https).",
    ),
    held(
        "4.1.1",
        "MUST",
        "While it waits it is protected: it never waits.",
        "rfc_resources.a_password_is_kept_nowhere",
    ),
    held("4.1.1", "MUST NOT", "Being writeOnly, it is in no answer.", "rfc_writes.password_never_returned"),
    apart("4.1.2", "SHOULD", "E-mail addresses are answered in canonical form.", _AS_SENT),
    apart("4.1.2", "SHOULD", "So are phone numbers, where it fits.", _AS_SENT),
    apart("4.1.2", "SHOULD", "ims lose white space and capitals, where it fits.", _AS_SENT),
    held(
        "4.1.2",
        "SHOULD",
        "ims.type is one of a list.",
        "rfc_discovery.values_that_are_recommended_are_published",
    ),
    apart(
        "4.1.2",
        "MUST",
        "A photo's URI leads to an image file.",
        "It is the client's to say; the bridge fetches nothing.",
    ),
    apart("4.1.2", "SHOULD NOT", "Photos show the user, not what the user took.", "The bridge cannot tell."),
    apart(
        "4.1.2",
        "MUST",
        "country is an ISO 3166-1 alpha-2 code.",
        "Refusing others would lose whole pushes: directories hold names, and the RFC's own example is USA.",
    ),
    held(
        "4.1.2",
        "SHOULD",
        "Direct members can be changed through the group.",
        "user-groups-are-read-only",
        "groups.nested_groups",
    ),
    held(
        "4.1.2",
        "MUST",
        "groups.value is the id of the group.",
        "rfc_resources.locations_and_references_lead_to_their_resources",
        "user-groups-are-read-only",
    ),
    held(
        "4.1.2",
        "MUST",
        "Memberships change through groups alone.",
        "rfc_writes.groups_on_a_user",
        "user-groups-are-read-only",
        "rfc_patches.operations_that_cannot_be_done",
    ),
    held(
        "4.1.2",
        "MUST",
        "Certificates are base64.",
        "rfc_resources.values_of_another_type_are_refused",
        "rfc_resources.certificates_come_back_as_they_were",
    ),
    apart(
        "4.1.2",
        "MUST NOT",
        "One value holds one certificate.",
        "It is the client's to say; the bridge reads none.",
    ),
    held(
        "4.2",
        "REQUIRED",
        "A group has a displayName (erratum 5368).",
        "group-display-name-required",
        "rfc_patches.the_name_of_a_group_cannot_be_removed",
    ),
    held("4.3", "RECOMMENDED", "manager.value is the id of a user.", "manager-forms"),
    apart(
        "4.3",
        "RECOMMENDED",
        "manager.$ref is the URI of that user.",
        "Answered where the client sent it; the bridge makes none, as the value may be no user here.",
    ),
    *(
        held(
            "5",
            "REQUIRED",
            f"The configuration has {name}.",
            "rfc_discovery.the_configuration_has_every_required_member",
        )
        for name in (
            "patch.supported",
            "bulk.supported",
            "bulk.maxOperations",
            "bulk.maxPayloadSize",
            "filter.supported",
            "filter.maxResults",
            "changePassword.supported",
            "sort.supported",
            "etag.supported",
            "authenticationSchemes, each with type, name and description",
        )
    ),
    apart(
        "5",
        "SHOULD",
        "authenticationSchemes can be read without authentication.",
        "The token says which connection is meant, and what it supports; nothing is told to who has none.",
    ),
    *(
        held("6", "REQUIRED", says, "rfc_discovery.resource_types_have_every_required_member")
        for says in (
            "A resource type has a name, an endpoint and a schema.",
            "An extension of it has a schema, and says whether it is required.",
        )
    ),
    *(
        held("6", "MUST", says, "rfc_discovery.resource_types_have_every_required_member")
        for says in (
            "The name is given.",
            "The description is given.",
            "schema is the id of a schema.",
            "schemaExtensions.schema is the id of a schema.",
        )
    ),
    held(
        "6",
        "MUST",
        "A required extension is there: none is required.",
        "rfc_discovery.resource_types_have_every_required_member",
    ),
    *(
        held("7", level, says, "rfc_discovery.schemas_describe_every_attribute")
        for level, says in (
            ("REQUIRED", "A schema has all members but the optional ones."),
            ("REQUIRED", "A schema has an id."),
            ("MUST", "It is a URI."),
            ("MUST", "A schema has a name."),
            ("MUST", "A schema has a description."),
            ("MUST", "Every attribute has a description."),
            ("SHOULD", "A complex attribute has subAttributes."),
        )
    ),
    held(
        "7",
        "SHALL",
        "Filters go by caseExact.",
        "rfc_filters.external_id_and_id_with_case",
        "rfc_filters.user_name_without_case",
    ),
    held("7", "SHALL", "caseExact values keep their case.", "rfc_resources.external_id_is_the_clients"),
    held(
        "7",
        "SHALL NOT",
        "readOnly attributes are not changed.",
        "rfc_writes.read_only_is_ignored",
        "rfc_patches.operations_that_cannot_be_done",
    ),
    held(
        "7",
        "SHALL NOT",
        "immutable attributes are not changed.",
        "rfc_patches.parts_of_a_member_are_immutable",
        "patch.immutable_and_plain_multi_valued_attributes",
    ),
    held("7", "SHALL NOT", "writeOnly attributes are not answered.", "rfc_writes.password_never_returned"),
    held(
        "7",
        "SHOULD",
        "uniqueness `server`: no two resources have the same value.",
        "rfc_writes.duplicate_is_409",
        "group-duplicate-is-409",
    ),
    held(
        "7", "SHOULD", "uniqueness `global`: there is none.", "rfc_discovery.schemas_describe_every_attribute"
    ),
]
