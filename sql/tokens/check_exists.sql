-- Is there such a token, of whomever? Tells 403 from 404; what a deleted account had is not there any more.
-- $1 token_id bigint
SELECT EXISTS (
    SELECT FROM api_tokens AS t INNER JOIN users AS u ON u.id = t.user_id WHERE t.id = $1 AND u.deleted_at IS NULL
) AS exists
