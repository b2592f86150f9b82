-- Whether a form that makes a token has made it already.
-- $1 user_id bigint
-- $2 form_id uuid
SELECT EXISTS (SELECT FROM api_tokens WHERE user_id = $1 AND form_id = $2) AS is_used
