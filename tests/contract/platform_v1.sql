-- A database of the embedded platform as version 1 made it: one tenant, one user.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE apps (
	client_id TEXT NOT NULL,
	tenant_id TEXT,
	name TEXT NOT NULL,
	scopes TEXT NOT NULL,
	secret_hash TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (client_id),
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE federated_identities (
	id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	provider_type TEXT NOT NULL,
	subject TEXT,
	created_at TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE groups (
	id TEXT NOT NULL,
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	name_key TEXT,
	description TEXT,
	group_type TEXT NOT NULL,
	created_at TEXT NOT NULL,
	updated_at TEXT,
	deleted_at TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE TABLE mails (
	id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	redirect_uri TEXT,
	created_at TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE memberships (
	group_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	membership_type TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (group_id, user_id),
	FOREIGN KEY(group_id) REFERENCES groups (id),
	FOREIGN KEY(user_id) REFERENCES users (id)
)
 WITHOUT ROWID
;
CREATE TABLE ous (
	id TEXT NOT NULL,
	tenant_id TEXT NOT NULL,
	parent_id TEXT,
	name TEXT NOT NULL,
	path TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(tenant_id) REFERENCES tenants (id),
	FOREIGN KEY(parent_id) REFERENCES ous (id)
);
CREATE TABLE signing_keys (
	kid TEXT NOT NULL,
	private_pem TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (kid)
);
CREATE TABLE tenants (
	id TEXT NOT NULL,
	slug TEXT NOT NULL,
	name TEXT NOT NULL,
	partner_id TEXT,
	created_at TEXT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (slug)
);
INSERT INTO "tenants" VALUES('tnt_i6h31swpfrdmb18fmohvcfosm1','acme','Acme','prt_1','2026-11-23T13:17:57.916064Z');
CREATE TABLE users (
	id TEXT NOT NULL,
	tenant_id TEXT NOT NULL,
	email TEXT NOT NULL,
	email_key TEXT,
	username TEXT,
	username_key TEXT,
	first_name TEXT,
	last_name TEXT,
	display_name TEXT,
	display_key TEXT,
	search_text TEXT NOT NULL,
	phone TEXT,
	locale TEXT NOT NULL,
	timezone TEXT NOT NULL,
	email_verified BOOLEAN NOT NULL,
	avatar_url TEXT,
	ou_id TEXT,
	status TEXT NOT NULL,
	status_reason TEXT,
	identity_source TEXT NOT NULL,
	mfa_enabled BOOLEAN NOT NULL,
	custom_attributes TEXT,
	password_hash TEXT,
	require_password_change BOOLEAN NOT NULL,
	failed_attempts INTEGER NOT NULL,
	created_at TEXT NOT NULL,
	updated_at TEXT,
	last_login_at TEXT,
	password_changed_at TEXT,
	sessions_revoked_at TEXT,
	deleted_at TEXT,
	PRIMARY KEY (id),
	FOREIGN KEY(tenant_id) REFERENCES tenants (id),
	FOREIGN KEY(ou_id) REFERENCES ous (id)
);
INSERT INTO "users" VALUES('usr_7qiz2wydadiyseeta30yzzeymd','tnt_i6h31swpfrdmb18fmohvcfosm1','user000001@example.com','user000001@example.com','user000001','user000001','Björn','Bauer','Björn Bauer 1','björn bauer 1','user000001@example.comuser000001björnbauerbjörn bauer 1','+1 555 0000001','en','UTC',0,NULL,NULL,'ACTIVE',NULL,'LOCAL',0,'{"employee_number":"000001"}',NULL,0,0,'2026-11-23T13:17:57.920366Z',NULL,NULL,NULL,NULL,NULL);
CREATE INDEX ix_tenants_partner ON tenants (partner_id);
CREATE UNIQUE INDEX ux_ous_path ON ous (tenant_id, path);
CREATE UNIQUE INDEX ux_groups_name ON groups (tenant_id, name_key);
CREATE INDEX ix_groups_created ON groups (tenant_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_display ON users (tenant_id, display_key, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX ux_users_email ON users (tenant_id, email_key);
CREATE INDEX ix_users_everywhere ON users (created_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_ou ON users (ou_id);
CREATE UNIQUE INDEX ux_users_username ON users (tenant_id, username_key);
CREATE INDEX ix_users_status ON users (tenant_id, status, created_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_username ON users (tenant_id, username_key, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_created ON users (tenant_id, created_at, id, status, mfa_enabled, ou_id, search_text, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_email ON users (tenant_id, email_key, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_users_login ON users (tenant_id, last_login_at, id, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_memberships_user ON memberships (user_id);
CREATE INDEX ix_federated_user ON federated_identities (user_id, created_at);
CREATE INDEX ix_mails_user ON mails (user_id, created_at);
COMMIT;
