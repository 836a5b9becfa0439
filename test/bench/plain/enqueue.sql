insert into plain (job_type, payload) values ('bench', :payload) returning id;
