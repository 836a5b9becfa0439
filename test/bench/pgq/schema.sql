create extension pgq;
select pgq.create_queue('bench'), pgq.register_consumer('bench', 'consumer');
