-- The rate limit's window, in the meter's own row: what is held in the row that is locked is decided by one statement.

ALTER TABLE api_token_meters
    -- Sub-buckets of a sixtieth of the window: the number of the last one in which a request passed (since 1970), and for it and
    -- each of the 60 before it, the oldest first, what request_count was when it began. So the window's use is a subtraction,
    -- and the array changes only when a sub-bucket begins. Null: never limited so far.
    ADD COLUMN window_bucket bigint,
    -- the window's length; another one in the settings begins anew
    ADD COLUMN window_seconds bigint,
    ADD COLUMN window_marks bigint [],

    -- Every request makes a new version of its row: in the same page, and the page is tidied by those who come next (HOT). What
    -- they may not tidy, because some long statement could still see it, is left to vacuum, which therefore comes often, does
    -- not rest, and never locks the table to shorten its file.
    SET (
        autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_scale_factor = 0.1,
        autovacuum_vacuum_cost_delay = 0,
        vacuum_truncate = off
    );
