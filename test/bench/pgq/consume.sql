select coalesce(pgq.next_batch('bench', 'consumer'), 0) as batch \gset
\if :batch = 0
\sleep 5 ms
\else
select * from pgq.get_batch_events(:batch);
select pgq.finish_batch(:batch);
\endif
