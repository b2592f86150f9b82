-- What happened to an account: its owner reads it, and nobody changes it.

CREATE TABLE events (
    user_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- null: it came from the command line
    client_address text,
    client_agent text NOT NULL,
    -- which session, token or key, where it was about one; without a reference, because it tells of those that are gone too
    object_id bigint,
    object_name text,
    CONSTRAINT events_pkey PRIMARY KEY (user_id, id),
    -- the cascade is for the version that runs meanwhile, which does not know of events when it removes accounts
    CONSTRAINT events_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT events_kind_length CHECK (char_length(kind) BETWEEN 1 AND 50),
    CONSTRAINT events_client_length CHECK (char_length(client_address) <= 100 AND char_length(client_agent) <= 200),
    CONSTRAINT events_object_name_length CHECK (char_length(object_name) <= 200)
);

-- serves the purge of what has had its time
CREATE INDEX events_by_age ON events (occurred_at);

-- Whatever the service, or somebody in its name, asks for: an event stays as it is, and stays at least a week while its account lives.
CREATE FUNCTION refuse_change_of_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.occurred_at < now() - interval '7 days'
            OR NOT EXISTS (SELECT FROM users WHERE id = OLD.user_id AND deleted_at IS NULL)
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are only ever added' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_event();

CREATE TRIGGER events_stay_all BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event();
