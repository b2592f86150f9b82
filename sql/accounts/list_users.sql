-- Accounts for the operator, by id, from an id on, with how much of theirs is in use.
-- $1 after_id bigint
-- $2 limit bigint
SELECT
    u.id, u.email, u.created_at, u.disabled_at IS NULL AS is_enabled,
    (
        SELECT count(*) FROM api_tokens AS t
        WHERE t.user_id = u.id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
    ) AS api_tokens,
    (
        SELECT count(*) FROM openrouter_keys AS k
        WHERE k.user_id = u.id AND k.secret IS NOT NULL
    ) AS openrouter_keys
FROM users AS u
WHERE u.id > $1 AND u.deleted_at IS NULL
ORDER BY u.id
LIMIT $2
