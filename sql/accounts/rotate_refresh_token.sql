-- Exchanges a refresh token for its successor, hands the same successor out again after a lost answer, or ends the whole
-- session when an old token comes back. All of it is decided on the locked session row, so any number of uses at once agree.
-- $1 token_hash bytea
-- $2 successor_hashes bytea[]
-- $3 idle_lifetime interval
-- $4 grace interval
-- $5 client_address text
-- $6 client_agent text

-- a successor may have been derived under another of our keys than the first, while the keys are being changed;
-- whoever waits for the row sees what the one before wrote, because all the state is in it
WITH decided AS (
    UPDATE sessions AS s
    SET
        refresh_hash = CASE WHEN s.refresh_hash = $1 THEN ($2::bytea[])[1] ELSE s.refresh_hash END,
        previous_refresh_hash = CASE WHEN s.refresh_hash = $1 THEN $1 ELSE s.previous_refresh_hash END,
        last_used_at = CASE WHEN s.refresh_hash = $1 THEN now() ELSE s.last_used_at END,
        revoked_at = CASE
            WHEN s.refresh_hash = $1 THEN NULL
            -- the successor is unused as long as it is the session's newest
            WHEN
                s.previous_refresh_hash = $1
                AND s.refresh_hash = ANY($2::bytea[])
                AND s.last_used_at > now() - $4::interval
                THEN NULL
            ELSE now()
        END
    FROM refresh_tokens AS r
    WHERE
        r.token_hash = $1
        AND s.id = r.session_id
        AND s.revoked_at IS NULL
        AND s.expires_at > now()
        AND s.last_used_at > now() - $3::interval
        AND EXISTS (SELECT FROM users AS u WHERE u.id = s.user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL)
    RETURNING s.id, s.user_id, s.expires_at, s.last_used_at, s.revoked_at, s.refresh_hash
),

remembered AS (
    INSERT INTO refresh_tokens (token_hash, session_id)
    SELECT refresh_hash, id FROM decided WHERE revoked_at IS NULL
    ON CONFLICT (token_hash) DO NOTHING
),

-- in this statement, because the refusal that follows would undo a transaction
noted AS (
    INSERT INTO events (user_id, kind, client_address, client_agent, object_id)
    SELECT user_id, 'refresh_token_reused', $5, $6, id FROM decided WHERE revoked_at IS NOT NULL
)

SELECT
    id, user_id,
    floor(extract(EPOCH FROM LEAST(expires_at, last_used_at + $3::interval) - now()))::integer AS refresh_expires_in,
    refresh_hash
FROM decided
WHERE revoked_at IS NULL
