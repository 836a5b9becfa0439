-- The queue's tables keep an event until they are rotated, which takes hours.
select count(*), 0, 0, 0 from pgq.event_template;
