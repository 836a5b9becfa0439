-- A new queue, whose tables are empty.
select pgq.drop_queue('bench', true), pgq.create_queue('bench'), pgq.register_consumer('bench', 'consumer');
