-- The foreign keys that a tenant's tables have.
alter table jobs add foreign key (organisation_id) references tenants on delete cascade,
                 add foreign key (restaurant_id) references tenants on delete set null,
                 add foreign key (created_by) references tenants on delete set null;
