-- Each index that a firing or an attempt touches is a page more in a durable commit: what another one serves as well goes.

-- A listing by state: what is open is found by deliveries_open, what was accepted is most of what deliveries_by_owner lists.
DROP INDEX deliveries_by_state;
CREATE INDEX deliveries_ended ON deliveries (owner, state, id)
    WHERE state = 'dead' OR state = 'unknown' OR state = 'merged' OR state = 'cancelled';
-- One for what is open of an alert, on one channel or on all of them.
DROP INDEX deliveries_of_alert;
DROP INDEX deliveries_open;
CREATE INDEX deliveries_open ON deliveries (alert, channel, id, state, step, lane, offered) WHERE finished IS NULL;
-- The firings of one alert come in the order of their versions and numbers, which the table's own index has.
DROP INDEX firings_by_alert;
